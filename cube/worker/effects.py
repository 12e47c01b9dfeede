"""Acting on a node's engine, through the docker SDK: start one container, stop one container.

Every effect may be repeated. A container has a name that its task gives it, so a second create is refused
by the engine and the first one's container is found instead. Where the answer is lost the outcome is UNKNOWN:
nothing is tried again before the node has been looked at.
"""

from collections.abc import Mapping
from typing import Any

import requests
import urllib3.exceptions
from docker import APIClient
from docker.errors import APIError, DockerException, ImageNotFound, NotFound, StreamParseError

from cube.errors import CubeError
from cube.model.action import Effect, Outcome, Start, Stop, Verdict
from cube.model.labels import CLUSTER, identity_of
from cube.model.observation import ContainerState, Identity
from cube.worker.container import Claim, container_config

Json = Mapping[str, Any]

LAST_LINES = 10

# What is read from a stream, as a pull is, breaks with urllib3's own errors, which requests does not wrap.
BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError, StreamParseError, OSError, EOFError)


def perform(client: APIClient, effect: Effect, claim: Claim) -> Outcome:
    """The outcome of one effect.

    Raises ConnectionFailed where the connection itself is lost: the outcome is UNKNOWN then too.
    """
    try:
        if isinstance(effect, Stop):
            return _stop(client, effect, claim)
        return _start(client, effect, claim)
    except _EffectRefusedError as error:
        return Outcome(verdict=Verdict.FAILED, why=error.what, cure=error.cure)
    except APIError as error:
        return Outcome(verdict=Verdict.FAILED, why=f"the engine refused: {_explanation(error)}")
    except (*BROKEN, DockerException) as error:
        return Outcome(
            verdict=Verdict.UNKNOWN,
            why=f"the answer was lost: {error}",
            cure="Look at the node again: the effect may have happened.",
        )


class _EffectRefusedError(CubeError):
    """The effect is refused, by us or by the engine, for a reason that a person should read."""


def _start(client: APIClient, effect: Start, claim: Claim) -> Outcome:
    """Make the task's container exist and run."""
    container = _create(client, effect, claim)
    try:
        client.start(container)
    except APIError as error:
        return _failed_start(effect, container, _explanation(error))
    return _after_start(client, container)


def _create(client: APIClient, effect: Start, claim: Claim) -> str:
    """The id of the task's container, new or found by its name."""
    task = effect.task
    config = container_config(task, claim)
    try:
        return _post_create(client, config, task.container_name)
    except ImageNotFound:
        _pull(client, effect)
        return _post_create(client, config, task.container_name)
    except APIError as error:
        if error.status_code != 409:
            raise
        return _adopt(client, effect, claim)


def _post_create(client: APIClient, config: dict[str, Any], name: str) -> str:
    # types-docker has no annotations for this one.
    container: str = client.create_container_from_config(config, name)["Id"]  # type: ignore[no-untyped-call]
    return container


def _adopt(client: APIClient, effect: Start, claim: Claim) -> str:
    """The container that has the task's name, if it is the task's."""
    name = effect.task.container_name
    try:
        found = client.inspect_container(name)
    except NotFound:
        raise _EffectRefusedError(
            f"the engine keeps the name {name} reserved for a container that it does not show",
            cure=f"Restart Docker on {effect.node}, or wait for the removal of {name} to end.",
        ) from None
    identity = _identity(found)
    if identity is None or identity.cluster != claim.cluster or identity.task != effect.task.id:
        raise _EffectRefusedError(
            f"the name {name} is taken on {effect.node} by a container that is not this task's",
            cure=f"Cube does not touch it. Rename or remove it yourself: docker rename {name} NEWNAME.",
        )
    _refuse_newer(identity, claim)
    container: str = found["Id"]
    return container


def _pull(client: APIClient, effect: Start) -> None:
    """Fetch the task's image. The client bounds how long nothing may arrive."""
    image, node = effect.task.spec.image, effect.node
    try:
        for progress in client.pull(image, stream=True, decode=True):
            if "error" in progress:
                raise _missing_image(image, node, progress["error"])
    except APIError as error:
        raise _missing_image(image, node, _explanation(error)) from error
    except BROKEN as error:
        raise _missing_image(image, node, f"the pull broke off: {error}") from error


def _missing_image(image: str, node: str, why: str) -> _EffectRefusedError:
    return _EffectRefusedError(
        f"image {image} is not on node {node} and cannot be pulled: {why.strip()}",
        cure=f"Check its name and registry, or load it: docker save {image} | ssh {node} docker load",
    )


def _failed_start(effect: Start, container: str, explanation: str) -> Outcome:
    """The container is made and stays; what the engine says after its own long prefix is the reason."""
    reason = explanation.rpartition("): ")[2]
    if not _is_port_taken(explanation):
        why, cure = f"the engine could not start the container: {explanation}", ""
    else:
        why = f"a port is already taken on {effect.node}: {reason}"
        cure = "See who listens there with `ss -ltnp`, or let Cube choose the port: leave out `host`."
    return Outcome(verdict=Verdict.FAILED, container=container, why=why, cure=cure)


def _is_port_taken(explanation: str) -> bool:
    """The engine has no code for it: it answers 500 with one of two sentences, its own or the kernel's."""
    return "port is already allocated" in explanation or "address already in use" in explanation


def _after_start(client: APIClient, container: str) -> Outcome:
    """The truth after a start: a container that has died with a failure already was not started."""
    state = client.inspect_container(container)["State"]
    if state["Running"] or state["ExitCode"] == 0:
        return Outcome(verdict=Verdict.OK, container=container)
    return Outcome(
        verdict=Verdict.FAILED,
        container=container,
        why=f"the container ended at once with exit code {state['ExitCode']}"
        + (" (out of memory)" if state.get("OOMKilled") else ""),
        cure="Its last lines are below; `cube logs` has the rest.",
        detail={"exit_code": str(state["ExitCode"]), "log": _last_lines(client, container)},
    )


def _last_lines(client: APIClient, container: str) -> str:
    lines: bytes = client.logs(container, tail=LAST_LINES)
    return lines[-4096:].decode("utf-8", "replace")


def _stop(client: APIClient, effect: Stop, claim: Claim) -> Outcome:
    """Stop the container within its grace and remove it. One that is gone already is done."""
    done = Outcome(verdict=Verdict.OK, container=effect.container)
    try:
        _check_ours(client.inspect_container(effect.container), effect, claim)
        client.stop(effect.container, timeout=max(0, round(effect.grace)))
        client.remove_container(effect.container, v=True)
    except NotFound:
        return done
    except APIError as error:
        if error.status_code == 409 and _is_going(client, effect.container):
            return done
        raise
    return done


def _check_ours(found: Json, effect: Stop, claim: Claim) -> None:
    """Hands off what is not ours, whatever the plan says: the container may have been replaced since."""
    if _labels(found).get(CLUSTER) != claim.cluster:
        raise _EffectRefusedError(
            f"container {effect.container_name} on {effect.node} is not of cluster {claim.cluster}",
            cure="Look at the node again; if this stays, please report it.",
        )
    identity = _identity(found)
    if identity is not None:
        _refuse_newer(identity, claim)


def _refuse_newer(identity: Identity, claim: Claim) -> None:
    if identity.epoch > claim.epoch:
        raise _EffectRefusedError(
            f"the fleet was taken over: the container is of epoch {identity.epoch}, we are of {claim.epoch}",
            cure="End this manager, or take the fleet over again on purpose.",
        )


def _is_going(client: APIClient, container: str) -> bool:
    """Is somebody else's removal of it under way, or done?"""
    try:
        status: str = client.inspect_container(container)["State"]["Status"]
    except NotFound:
        return True
    return status == ContainerState.REMOVING


def _labels(found: Json) -> Mapping[str, str]:
    return found["Config"].get("Labels") or {}


def _identity(found: Json) -> Identity | None:
    return identity_of(_labels(found))


def _explanation(error: APIError) -> str:
    return str(error.explanation or error)
