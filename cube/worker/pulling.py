"""Images from a registry: whether it is asked, as whom, and whether what it gave is what was deployed."""

from collections.abc import Mapping

from docker import APIClient
from docker.errors import APIError, ImageNotFound

from cube.model.action import Start
from cube.model.job import TaskSpec
from cube.model.policy import Pull
from cube.worker.container import Json
from cube.worker.refusal import BROKEN, EffectRefusedError, explanation


def when(effect: Start) -> Pull:
    """When the task's registry is asked."""
    group = effect.job.group(effect.task.slot.group) if effect.job else None
    return group.pull if group else Pull.MISSING


def image_for(client: APIClient, spec: TaskSpec) -> str:
    """The image's name, for people to read, where it means the pinned one on this node; else its id."""
    if not spec.pinned:
        return spec.image
    try:
        return spec.image if _means(client, spec) else spec.pinned
    except ImageNotFound:
        return spec.pinned


def _means(client: APIClient, spec: TaskSpec) -> bool:
    """Raises ImageNotFound."""
    found: Json = client.inspect_image(spec.image)  # type: ignore[no-untyped-call]
    is_on_containerd = any(name.endswith(f"@{found['Id']}") for name in found.get("RepoDigests") or ())
    return is_on_containerd or found["Id"] == spec.pinned


def refuse_another(client: APIClient, effect: Start) -> None:
    """The same version of a job is the same bytes on every node."""
    spec = effect.task.spec
    if spec.pinned and not _means(client, spec):
        raise EffectRefusedError(
            f"the registry's {spec.image} is not what version {effect.task.version} was deployed with",
            cure=f"Deploy again, or push it from where it is: cube image push {spec.image} {effect.node}",
        )


def pull(client: APIClient, effect: Start, login: Mapping[str, str] | None) -> None:
    """Fetch the task's image. The client bounds how long nothing may arrive.

    `login` goes along with this one question, and the engine keeps nothing of it; None: the one that
    `docker login` left on this machine, if any.
    """
    auth = None if login is None else dict(login)
    try:
        for progress in client.pull(effect.task.spec.image, stream=True, decode=True, auth_config=auth):
            if "error" in progress:
                raise missing(effect, progress["error"])
    except APIError as error:
        raise missing(effect, explanation(error)) from error
    except BROKEN as error:
        raise missing(effect, f"the pull broke off: {error}") from error


def missing(effect: Start, why: str) -> EffectRefusedError:
    """The task cannot run for want of its image."""
    image, node = effect.task.spec.image, effect.node
    return EffectRefusedError(
        f"image {image} is not on node {node} and cannot be pulled: {why.strip()}",
        cure=f"Check its name and registry, or push it from where it is: cube image push {image} {node}",
    )
