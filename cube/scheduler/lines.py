"""Who stands in line for each class, counted by blocks: so the n-th of many is found without counting all."""

from cube.scheduler.standing import Points

BLOCK = 2048
"""Of how many nodes together it is kept how many stand in line."""
IN_LINE = 0
"""The entry of a node that can take a task, and is no last resort."""


class Lines:
    """Of each row of a table, how many nodes of each block stand in line."""

    def __init__(self) -> None:
        self._counts: list[list[int]] = []

    def put(self, row: int, entries: Points) -> None:
        """The row's entries are these from now on: a new row's, or in place of others."""
        blocks = (entries[start : start + BLOCK] for start in range(0, len(entries), BLOCK))
        self._counts[row : row + 1] = [[int((block == IN_LINE).sum()) for block in blocks]]

    def changed(self, at: int, before: Points, after: Points) -> None:
        """One node's entries, row by row, are no longer those but these."""
        block = at // BLOCK
        for row in (before != after).nonzero()[0].tolist():
            now, then = after.item(row) == IN_LINE, before.item(row) == IN_LINE
            self._counts[row][block] += now - then

    def nth(self, row: int, entries: Points, number: int) -> int | None:
        """Where in the row the one of that number is, counted round and round; None: nobody is in line."""
        counts = self._counts[row]
        size = sum(counts)
        if not size:
            return None
        number, start = number % size, 0
        for count in counts:
            if number < count:
                break
            number, start = number - count, start + BLOCK
        in_line = (entries[start : start + BLOCK] == IN_LINE).nonzero()[0]
        return start + int(in_line[number])
