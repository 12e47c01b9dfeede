"""Maintenance: whoever asks a job for something is answered by a page, until somebody ends it."""

from dataclasses import dataclass

RETRY_AFTER = 120.0
"""Seconds after which those who ask are told to come back, unless somebody says another time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """The operator has proxies send no request to a job, since `at`.

    `retry_after` in seconds: when those who ask are told to come back.
    """

    job: str
    at: float
    actor: str
    retry_after: float
