"""Images from a registry: whether it is asked, as whom, and whether what it gave is what was deployed."""

from collections.abc import Callable, Mapping

from docker import APIClient
from docker.errors import APIError, DockerException, ImageNotFound

from cube.image.recipe import image_inspected
from cube.model.action import Fetch, Outcome, Start, Verdict
from cube.model.image import Image, name_of_pin
from cube.model.job import TaskSpec
from cube.model.policy import Pull
from cube.model.transit import Told, Transit
from cube.worker.container import Json
from cube.worker.meter import Meter
from cube.worker.refusal import BROKEN, EffectRefusedError, explanation

Login = Callable[[str], Mapping[str, str] | None]
"""What the registry of an image is to be told of us. Raises InputError."""


def when(effect: Start) -> Pull:
    """When the task's registry is asked."""
    group = effect.job.group(effect.task.slot.group) if effect.job else None
    return group.pull if group else Pull.MISSING


def image_for(client: APIClient, spec: TaskSpec) -> str:
    """The image's name, for people to read, where it means the pinned one on this node; else its id here."""
    if not spec.pinned or _means(client, spec.image, spec.pinned):
        return spec.image
    found = _inspected(client, name_of_pin(spec.pinned))
    return found.id if found else spec.pinned


def _means(client: APIClient, image: str, pinned: str) -> bool:
    found = _inspected(client, image)
    return found is not None and found.may_be_of(image, pinned)


def _inspected(client: APIClient, image: str) -> Image | None:
    """None: the engine has none of that name."""
    try:
        answer: Json = client.inspect_image(image)  # type: ignore[no-untyped-call]
    except ImageNotFound:
        return None
    return image_inspected(answer)


def meter_of(image: str, node: str, job: str, told: Told) -> Meter:
    """What counts the bytes of that image as they come to that node, for that job."""
    return Meter(Transit(node=node, image=image, job=job), told)


def fetch(client: APIClient, effect: Fetch, login: Login, told: Told) -> Outcome:
    """The image, before anything needs it. Raises EffectRefusedError."""
    meter = meter_of(effect.image, effect.node, effect.job, told)
    pull(client, effect.image, effect.node, login, meter)
    refuse_another(client, effect.image, effect.pinned, effect.node)
    return Outcome(verdict=Verdict.OK, detail=meter.detail)


def refuse_another(client: APIClient, image: str, pinned: str, node: str) -> None:
    """The same version of a job is the same bytes on every node."""
    if pinned and not _means(client, image, pinned):
        raise EffectRefusedError(
            f"the registry's {image} is not what this version of the job was deployed with",
            cure=f"Deploy again, or push it from where it is: cube image push {image} {node}",
        )


def pull(client: APIClient, image: str, node: str, login: Login, meter: Meter) -> None:
    """Have the node's engine pull it; `meter` hears of it. The client bounds how long nothing may arrive.

    What `login` says goes along with this one question, and the engine keeps nothing of it; where it says
    nothing, that is what `docker login` left on this machine, if anything.
    """
    told = login(image)
    auth = None if told is None else dict(told)
    try:
        for progress in client.pull(image, stream=True, decode=True, auth_config=auth):
            if "error" in progress:
                raise missing(image, node, progress["error"])
            meter.hear(progress)
    except APIError as error:
        raise missing(image, node, explanation(error)) from error
    except BROKEN as error:
        raise missing(image, node, f"the pull broke off: {error}") from error


def digest(client: APIClient, image: str, login: Login) -> str:
    """What the registry has by that name now; empty where it cannot be asked, or has nothing."""
    told = login(image)
    auth = None if told is None else dict(told)
    try:
        found: Json = client.inspect_distribution(image, auth_config=auth)  # type: ignore[no-untyped-call]
    except (*BROKEN, DockerException):
        return ""
    return str((found.get("Descriptor") or {}).get("digest", ""))


def missing(image: str, node: str, why: str) -> EffectRefusedError:
    """Nothing can run there for want of its image."""
    return EffectRefusedError(
        f"image {image} is not on node {node} and cannot be pulled: {why.strip()}",
        cure=f"Check its name and registry, or push it from where it is: cube image push {image} {node}",
    )
