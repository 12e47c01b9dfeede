"""Acting on a node's engine, through the docker SDK: start one container, stop one, put one in quarantine.

Every effect may be repeated. A container has a name that its task gives it, so a second create is refused
by the engine and the first one's container is found instead. Where the answer is lost the outcome is UNKNOWN:
nothing is tried again before the node has been looked at.
"""

import io
import itertools
import tarfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, assert_never

from docker import APIClient
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from cube.connection import ConnectionFailed
from cube.errors import CubeError, InputError
from cube.model.action import Fetch, Outcome, Quarantine, Start, Stop, Verdict
from cube.model.labels import CLUSTER, identity_of
from cube.model.observation import QUARANTINED, ContainerState, Identity, PostMortem
from cube.model.policy import Pull
from cube.model.task import State, Task
from cube.model.transit import Told, unheard
from cube.worker import pulling
from cube.worker.belongings import ROOT, BelongingsError, Porter, owner_of
from cube.worker.container import MEMORY, Claim, Json, container_config
from cube.worker.hiding import masked
from cube.worker.meter import Meter
from cube.worker.post_mortem import ended_badly, has_ended
from cube.worker.refusal import BROKEN, EffectRefusedError, explanation

Witness = Callable[[Json], PostMortem]
"""Takes the post-mortem of an inspected container. Raises nothing."""

LAST_LINES = 10

MOST_PIECES = 64
"""Of a file that is read out of a container, each of 2 MiB at most: nobody has so many users."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What effects on one node are carried out with: in whose name, and who sees to what is beside them.

    `told` hears how far the image of a task is that has to be pulled.
    """

    claim: Claim
    witness: Witness
    porter: Porter
    told: Told = unheard


def perform(client: APIClient, effect: Start | Stop | Quarantine | Fetch, means: Means) -> Outcome:
    """The outcome of one effect, whose reason quotes no secret of the task's.

    Raises nothing for what the engine or the connection does.
    """
    claim, witness, porter = means.claim, means.witness, means.porter
    act: Callable[[], Outcome]
    match effect:
        case Start():
            act = partial(_start, client, effect, means)
        case Stop():
            act = partial(_stop, client, effect, claim, witness, porter)
        case Quarantine():
            act = partial(_quarantine, client, effect, claim, witness)
        case Fetch():
            act = partial(pulling.fetch, client, effect, porter.login, means.told)
        case _:
            assert_never(effect)
    outcome = _outcome(act)
    given = porter.given(effect.task.spec.secrets if effect.task else ())
    return replace(outcome, why=masked(outcome.why, given))


def _outcome(act: Callable[[], Outcome]) -> Outcome:
    """What the act answers, or what its failing means."""
    try:
        return act()
    except EffectRefusedError as error:
        return Outcome(verdict=Verdict.FAILED, why=error.what, cure=error.cure)
    except (BelongingsError, InputError) as error:
        why = ": ".join(part for part in (error.where, error.what, error.why) if part)
        return Outcome(verdict=Verdict.FAILED, why=why, cure=error.cure)
    except ConnectionFailed as error:
        return Outcome(verdict=Verdict.UNKNOWN, why=error.what, cure=error.cure)
    except APIError as error:
        return Outcome(verdict=Verdict.FAILED, why=f"the engine refused: {explanation(error)}")
    except (*BROKEN, DockerException) as error:
        return Outcome(
            verdict=Verdict.UNKNOWN,
            why=f"the answer was lost: {error}",
            cure="Look at the node again: the effect may have happened.",
        )


def _start(client: APIClient, effect: Start, means: Means) -> Outcome:
    """Make the task's container exist and run. Its files come first: the engine mounts only what is there."""
    porter, witness = means.porter, means.witness
    meter = pulling.meter_of(effect.task.spec.image, effect.node, effect.task.slot.job, means.told)
    porter.bring(effect.task)
    found = _create(client, effect, means, meter)
    # Whatever it ended with: what is started again had failed, or is not done.
    before = witness(found) if has_ended(found) else None
    if effect.task.spec.has_made_variables and _does_not_run(found):
        client.remove_container(found["Id"], v=True)
        found = _create(client, effect, means, meter)
    _give(client, effect.task, found["Id"], porter)
    outcome = _outcome(lambda: _run(client, effect, found["Id"], witness))
    outcome = replace(outcome, detail={**meter.detail, **outcome.detail})
    return outcome if before is None else replace(outcome, post_mortem=before, end=outcome.post_mortem)


def _does_not_run(found: Json) -> bool:
    """It was there before, and does not run."""
    return "State" in found and not found["State"]["Running"]


def _run(client: APIClient, effect: Start, container: str, witness: Witness) -> Outcome:
    try:
        client.start(container)
    except APIError as error:
        return _failed_start(effect, container, explanation(error))
    return _after_start(client, container, witness)


def _give(client: APIClient, task: Task, container: str, porter: Porter) -> None:
    """The task's files to the task's user, whom only the container knows."""
    if not any(use.target for use in task.spec.secrets):
        return
    user = client.inspect_container(container)["Config"].get("User") or ""
    passwd, group = (_text_in(client, container, f"/etc/{name}") for name in ("passwd", "group"))
    owner = owner_of(user, passwd, group)
    if owner is None:
        raise EffectRefusedError(
            f"the image {task.spec.image} knows no user {user!r}, to whom the secrets could be given",
            cure="Write the user's number in the job: user: '1000'.",
        )
    if owner != ROOT:
        porter.bring(task, owner)


def _text_in(client: APIClient, container: str, path: str) -> str:
    """What is in a file of the container; nothing where there is none, or only a link."""
    try:
        pieces, _ = client.get_archive(container, path)
    except NotFound:
        return ""
    packed = io.BytesIO(b"".join(itertools.islice(pieces, MOST_PIECES)))
    with tarfile.open(fileobj=packed) as tar:
        file = tar.extractfile(member) if (member := tar.next()) is not None and member.isfile() else None
        return "" if file is None else file.read().decode("utf-8", "replace")


def _create(client: APIClient, effect: Start, means: Means, meter: Meter) -> Json:
    """The task's container: of a new one its `Id`, of one found by its name all that an inspect tells."""
    task, when, claim, porter = effect.task, pulling.when(effect), means.claim, means.porter
    if when is Pull.ALWAYS:
        pulling.pull(client, task.spec.image, effect.node, porter.login, meter)
    config = container_config(task, claim, effect.job, effect.parent, env=porter.variables(task))
    config["Image"] = pulling.image_for(client, task.spec)
    try:
        return _post_create(client, config, task.container_name)
    except ImageNotFound:
        if when is Pull.NEVER:
            raise pulling.missing(task.spec.image, effect.node, "its job says `pull: never`") from None
        pulling.pull(client, task.spec.image, effect.node, porter.login, meter)
        pulling.refuse_another(client, task.spec.image, task.spec.pinned, effect.node)
        return _post_create(client, {**config, "Image": task.spec.image}, task.container_name)
    except APIError as error:
        if error.status_code != 409:
            raise
        return _adopt(client, effect, claim)


def _post_create(client: APIClient, config: dict[str, Any], name: str) -> Json:
    # types-docker has no annotations for this one.
    created: Json = client.create_container_from_config(config, name)  # type: ignore[no-untyped-call]
    return created


def _adopt(client: APIClient, effect: Start, claim: Claim) -> Json:
    """The container that has the task's name, if it is the task's."""
    name = effect.task.container_name
    try:
        found: Json = client.inspect_container(name)
    except NotFound:
        raise EffectRefusedError(
            f"the engine keeps the name {name} reserved for a container that it does not show",
            cure=f"Restart Docker on {effect.node}, or wait for the removal of {name} to end.",
        ) from None
    identity = _identity(found)
    if identity is None or identity.cluster != claim.cluster or identity.task != effect.task.id:
        raise EffectRefusedError(
            f"the name {name} is taken on {effect.node} by a container that is not this task's",
            cure=f"Cube does not touch it. Rename or remove it yourself: docker rename {name} NEWNAME.",
        )
    _refuse_newer(identity, claim)
    return found


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


def _after_start(client: APIClient, container: str, witness: Witness) -> Outcome:
    """The truth after a start: a container that has died with a failure already was not started."""
    found = client.inspect_container(container)
    state = found["State"]
    if state["Running"] or state["ExitCode"] == 0:
        return Outcome(verdict=Verdict.OK, container=container)
    post_mortem = witness(found)
    return Outcome(
        verdict=Verdict.FAILED,
        container=container,
        why=f"the container ended at once with exit code {state['ExitCode']}"
        + (" (out of memory)" if state.get("OOMKilled") else ""),
        cure="Its last lines are below; `cube logs` has the rest.",
        detail={"exit_code": str(state["ExitCode"]), "log": _last_lines(post_mortem)},
        post_mortem=post_mortem,
    )


def _last_lines(post_mortem: PostMortem) -> str:
    """Without their timestamps: they are all of this moment."""
    lines = (line.partition(" ")[2] for line in post_mortem.log.split("\n")[-LAST_LINES:])
    return "\n".join(lines)[-4096:]


def _stop(client: APIClient, effect: Stop, claim: Claim, witness: Witness, porter: Porter) -> Outcome:
    """Stop the container within its grace and remove it. One that is gone already may have left its files."""
    try:
        found = client.inspect_container(effect.container)
    except NotFound:
        if effect.task is not None and effect.task.spec.has_files:
            _clear_away(effect.task.id, porter)
        return Outcome(verdict=Verdict.OK, container=effect.container)
    _check_ours(found, effect, claim)
    post_mortem = witness(found) if _has_failed(effect, found) else None
    outcome = _outcome(lambda: _remove(client, effect, found, porter))
    return replace(outcome, post_mortem=post_mortem)


def _has_failed(effect: Stop, found: Json) -> bool:
    """Its task has, or will have; a service that ended has failed, whatever it ended with."""
    was_failed = effect.task is not None and effect.task.state is State.FAILED
    return effect.target is State.FAILED or ended_badly(found) or (was_failed and has_ended(found))


def _owner_of_files(found: Json) -> str | None:
    """The task whose files the container mounts; None where it has none."""
    identity = _identity(found)
    mounts = (found.get("HostConfig") or {}).get("Mounts") or ()
    has_files = any(str(mount.get("Source", "")).startswith(f"{MEMORY}/") for mount in mounts)
    return identity.task if identity is not None and has_files else None


def _clear_away(task: str, porter: Porter) -> None:
    """What is left in the node's memory where that fails is gone with its next start at the latest."""
    with suppress(CubeError):
        porter.take_away(task)


def _remove(client: APIClient, effect: Stop, found: Json, porter: Porter) -> Outcome:
    done = Outcome(verdict=Verdict.OK, container=effect.container)
    try:
        client.stop(effect.container, timeout=max(0, round(effect.grace)))
        # While there still is the container, by which whoever goes on after us finds that files are there.
        if (owner := _owner_of_files(found)) is not None:
            _clear_away(owner, porter)
        client.remove_container(effect.container, v=True)
    except NotFound:
        return done
    except APIError as error:
        if error.status_code == 409 and _is_going(client, effect.container):
            return done
        raise
    return done


def _quarantine(client: APIClient, effect: Quarantine, claim: Claim, witness: Witness) -> Outcome:
    """Take the container out of service and let it run on, under a name that tells it apart."""
    try:
        found = client.inspect_container(effect.container)
    except NotFound:
        raise EffectRefusedError("it is gone", cure="There is nothing left to be looked at.") from None
    _check_ours(found, effect, claim)
    post_mortem = witness(found)
    return replace(_outcome(lambda: _cut_off(client, effect, found)), post_mortem=post_mortem)


def _cut_off(client: APIClient, effect: Quarantine, found: Json) -> Outcome:
    """Its published ports are free once it is on no network."""
    for network in found["NetworkSettings"]["Networks"]:
        client.disconnect_container_from_network(effect.container, network)
    name = f"{effect.task.container_name}{QUARANTINED}"
    if found["Name"] != f"/{name}":
        client.rename(effect.container, name)
    return Outcome(verdict=Verdict.OK, container=effect.container)


def _check_ours(found: Json, effect: Stop | Quarantine, claim: Claim) -> None:
    """Hands off what is not ours, whatever the plan says: the container may have been replaced since."""
    if _labels(found).get(CLUSTER) != claim.cluster:
        raise EffectRefusedError(
            f"container {effect.container_name} on {effect.node} is not of cluster {claim.cluster}",
            cure="Look at the node again; if this stays, please report it.",
        )
    identity = _identity(found)
    if identity is not None:
        _refuse_newer(identity, claim)


def _refuse_newer(identity: Identity, claim: Claim) -> None:
    if identity.epoch > claim.epoch:
        raise EffectRefusedError(
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
