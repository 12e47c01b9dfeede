"""A running task's files, changed, and its process told of it. Safe to repeat.

What is on the node is noted as told only once it was: who dies in between leaves a note that says so.
"""

from collections.abc import Callable, Sequence
from typing import Any, assert_never
from urllib.parse import quote

from cube.connection import Channel
from cube.errors import CubeError, UnreachableError
from cube.model.action import Outcome, Refresh, Verdict
from cube.model.files import hash_of, mark_of
from cube.model.job import OnChange, Telling
from cube.model.labels import identity_of
from cube.worker.belongings import BelongingsError, Porter
from cube.worker.command import exit_code
from cube.worker.container import Claim, Json, container_config
from cube.worker.delivered import try_number
from cube.worker.engine import EngineError, conversation, delete, get_json, post, post_json

ACT = 30.0
"""Seconds that the engine, or a command in the container, may take beside the task's own grace."""

ALREADY = 304
"""The engine's status for what is so already."""

OpenChannel = Callable[[float], Channel]
"""A channel to the engine's socket that lives for so many seconds."""


def perform(effect: Refresh, claim: Claim, porter: Porter, open_channel: OpenChannel) -> Outcome:
    """What came of it. Raises nothing."""
    try:
        found = _ours(effect, claim, open_channel)
        if effect.tellings:
            porter.deliver(effect.task, effect.texts, told=try_number(effect.tries + 1))
        container = effect.container
        if effect.restarts and effect.task.spec.has_made_variables:
            variables = porter.variables(effect.task, effect.texts)
            config = container_config(effect.task, claim, env=variables) | _kept(found)
            container = _make_anew(effect, config, open_channel)
        else:
            for how in effect.tellings:
                _tell(effect, how, found.get("ExecIDs") or (), open_channel)
        porter.deliver(effect.task, effect.texts, told=mark_of(map(hash_of, effect.texts)))
    except UnreachableError as error:
        return Outcome(verdict=Verdict.UNKNOWN, why=_told(error), cure=error.cure)
    except CubeError as error:
        return Outcome(verdict=Verdict.FAILED, why=_told(error), cure=error.cure)
    return Outcome(verdict=Verdict.OK, container=container)


def _ours(effect: Refresh, claim: Claim, open_channel: OpenChannel) -> Json:
    """The task's container. Hands off what is not ours, whatever the plan says: it may have been replaced."""
    found: Json = get_json(open_channel(ACT), f"/containers/{effect.container}/json")
    identity = identity_of(found["Config"].get("Labels") or {})
    if identity is None or (identity.cluster, identity.task) != (claim.cluster, effect.task.id):
        raise BelongingsError(f"container {effect.container[:12]} is not that of {effect.task.slot}")
    if identity.epoch > claim.epoch:
        cure = "End this manager, or take the fleet over again on purpose."
        raise BelongingsError(
            f"the fleet was taken over: the container is of epoch {identity.epoch}", cure=cure
        )
    return found


def _kept(found: Json) -> dict[str, Any]:
    """What one container has of another that was made for the same task: the image, and all that is told."""
    return {"Image": found["Image"], "Labels": found["Config"]["Labels"]}


def _make_anew(effect: Refresh, config: Json, open_channel: OpenChannel) -> str:
    """Another container in place of the task's, under its name; its id. Who dies in between leaves none.

    Then the task has failed, as one whose container somebody removed, and is started again.
    """
    grace = max(0, round(effect.grace))
    _post(effect, f"stop?t={grace}", open_channel(ACT + grace))
    with conversation(open_channel(ACT)) as connection:
        delete(connection, f"/containers/{effect.container}?v=1")
        made = post(connection, f"/containers/create?name={quote(effect.task.container_name)}", config)
        post(connection, f"/containers/{made['Id']}/start", {})
    return str(made["Id"])


def _tell(effect: Refresh, how: OnChange, under_way: Sequence[str], open_channel: OpenChannel) -> None:
    match how.telling:
        case Telling.RESTART:
            # Some engines run no command any more in a container that they restarted in one go.
            grace = max(0, round(effect.grace))
            _post(effect, f"stop?t={grace}", open_channel(ACT + grace))
            _post(effect, "start", open_channel(ACT))
        case Telling.SIGNAL:
            _post(effect, f"kill?signal={how.signal}", open_channel(ACT))
        case Telling.EXEC:
            _run(effect, how, under_way, open_channel)
        case Telling.NONE:
            pass
        case _:
            assert_never(how.telling)


def _post(effect: Refresh, what: str, channel: Channel) -> None:
    try:
        post_json(channel, f"/containers/{effect.container}/{what}", {})
    except EngineError as error:
        if error.status != ALREADY:
            raise


def _run(effect: Refresh, how: OnChange, under_way: Sequence[str], open_channel: OpenChannel) -> None:
    """Have the command end with 0. One that hangs from an earlier time is waited for, and is not enough."""
    for left in dict.fromkeys((tuple(under_way), ())):
        code = exit_code(open_channel(2 * ACT), effect.container, how.command, under_way=left, timeout=ACT)
        if code != 0:
            ended = f"did not end within {ACT:g}s" if code is None else f"ended with {code}"
            cure = f"See what it says: cube exec '{effect.task.slot}' -- {how}"
            raise BelongingsError(f"its files are new, and '{how}' {ended}", cure=cure)


def _told(error: CubeError) -> str:
    return ": ".join(part for part in (error.what, error.why) if part)
