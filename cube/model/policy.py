"""What is to be done when a task fails, its node goes silent, or a new version comes."""

from dataclasses import dataclass
from enum import StrEnum


class RestartMode(StrEnum):
    """What follows the last attempt. FAIL: the task stays failed. DELAY: it waits for a new window."""

    FAIL = "fail"
    DELAY = "delay"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """At most `attempts` restarts in the same place; then what `mode` says.

    The first waits `delay` seconds, each further one twice as long, never longer than `max_delay`; between
    half of that and all of it, so that many do not come at once. A task that has run for `window` seconds
    without a failure gets all of its attempts back.
    """

    attempts: int = 2
    window: float = 1800.0
    delay: float = 5.0
    max_delay: float = 300.0
    mode: RestartMode = RestartMode.FAIL


@dataclass(frozen=True, slots=True, kw_only=True)
class ReschedulePolicy:
    """After the last restart: at most `attempts` new tasks for the slot, elsewhere if it can be.

    `attempts` None: no limit. The first waits `delay` seconds, each further one twice as long, never longer
    than `max_delay`. A task that has run for `window` seconds gets all of its attempts back.
    """

    attempts: int | None = None
    window: float = 3600.0
    delay: float = 30.0
    max_delay: float = 3600.0


class Pull(StrEnum):
    """When a node asks a registry for an image.

    MISSING: where neither it nor the operator's engine has it. ALWAYS: before each start. NEVER.
    """

    MISSING = "missing"
    ALWAYS = "always"
    NEVER = "never"


class Order(StrEnum):
    """Which goes first in an update, the new task's start or the old one's stop.

    AUTO: the start, unless both would clash over a fixed host port or a volume that is written to, or there
    is no room for both.
    """

    AUTO = "auto"
    START_FIRST = "start-first"
    STOP_FIRST = "stop-first"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatePolicy:
    """How a new version takes the place of the old one. Durations in seconds.

    At most `max_parallel` slots of the group are under way at a time, and each for `delay` more once its task
    is proven. A new task is proven when it has been healthy for `min_healthy_time`; one that is not healthy
    within `healthy_deadline` of its start, or not proven within `progress_deadline`, fails the rollout; one
    that waits for room does not. Only the first `canary` slots are given new tasks before somebody promotes
    the rollout. `auto_revert`: a failed rollout brings the last version back that had succeeded.
    """

    max_parallel: int = 1
    delay: float = 0.0
    order: Order = Order.AUTO
    min_healthy_time: float = 2.0
    healthy_deadline: float = 300.0
    progress_deadline: float = 600.0
    canary: int = 0
    auto_revert: bool = False


class OnUnhealthy(StrEnum):
    """What happens to a task whose check has failed too often.

    RESTART: a new container in the same place. REPLACE: a new task elsewhere. QUARANTINE: as REPLACE, and
    the sick one stays, cut off from the network, for somebody to look at.
    """

    RESTART = "restart"
    REPLACE = "replace"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantinePolicy:
    """A quarantined container stays for `keep` seconds.

    All of a group on one node together never reserve more than `memory` bytes: one too many is removed.
    """

    keep: float = 3600.0
    memory: int = 2**30


class OnDisconnect(StrEnum):
    """What happens to a task on a node that was silent for too long: a second one elsewhere, or nothing."""

    REPLACE = "replace"
    KEEP = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class DisconnectPolicy:
    """A node silent for `lost_after` seconds, and three looks, has lost its tasks; then what `then` says.

    When it comes back with its task alive, one of the two stays: the healthy one, of two healthy ones the
    older.
    """

    then: OnDisconnect = OnDisconnect.REPLACE
    lost_after: float = 300.0


class Condition(StrEnum):
    """What a group waits for in another one."""

    HEALTHY = "healthy"
    COMPLETED = "completed"
