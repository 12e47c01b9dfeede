"""How quick the host is today: what figures of different days are compared by."""

import time

ADDITIONS = 20_000_000


def pace() -> float:
    """Seconds of CPU that a loop of Python takes to add twenty million numbers."""
    begun, total = time.process_time(), 0
    for number in range(ADDITIONS):
        total += number
    return time.process_time() - begun
