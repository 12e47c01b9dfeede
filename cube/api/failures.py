"""Wrong tokens by the address that they came from: who has to wait, and what is to be recorded of it."""

import math
from collections import deque

FAILURES = 10
"""Wrong tokens from one address in a minute, before it has to wait."""

MINUTE = 60.0
ADDRESSES = 4096
"""Addresses whose failures are remembered; more forget the oldest."""


class Failures:
    """The last failures of each address. Times in seconds of a clock that never goes back."""

    def __init__(self) -> None:
        self._times: dict[str, deque[float]] = {}
        self._told: dict[str, float] = {}

    def wait_of(self, address: str, now: float) -> int:
        """Seconds that the address has to wait before its next failure is looked at; 0: none."""
        times = self._times.get(address, deque())
        return max(math.ceil(times[0] + MINUTE - now), 0) if len(times) == FAILURES else 0

    def note(self, address: str, now: float) -> str:
        """One more; what is to be recorded of it: of one address not more than two things in a minute."""
        if address not in self._times and len(self._times) >= ADDRESSES:
            oldest = next(iter(self._times))
            del self._times[oldest]
            self._told.pop(oldest, None)
        times = self._times.setdefault(address, deque(maxlen=FAILURES))
        times.append(now)
        if self.wait_of(address, now):
            return f"{FAILURES} wrong tokens in a minute: it has to wait"
        if now - self._told.get(address, -math.inf) < MINUTE:
            return ""
        self._told[address] = now
        return "a wrong token"
