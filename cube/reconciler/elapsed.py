"""Waits that outlive a clock which is set back."""


def due_at(since: float, wait: float, now: float) -> float:
    """When `wait` seconds after `since` are over; all in seconds since the epoch.

    A stamp that lies ahead was made before the clock was set back. Nobody knows how long ago that is, and the
    wait is taken for over: else a jump of an hour would hold up a restart, or a rollout, for that hour.
    """
    return since + wait if since <= now else now


def is_within(since: float, wait: float, now: float) -> bool:
    """Those seconds are not over."""
    return now < due_at(since, wait, now)
