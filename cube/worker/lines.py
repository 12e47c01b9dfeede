"""What a container writes, for a reader whom another thread may have to call away."""

from collections.abc import Iterator

from cube.connection import Channel


class Lines:
    """The lines that come over a channel, each with its stream."""

    def __init__(self, channel: Channel, lines: Iterator[tuple[str, bytes]]) -> None:
        self._channel = channel
        self._lines = lines

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """As they come. Raises EngineError, and UnreachableError where the connection is lost."""
        return self._lines

    def close(self) -> None:
        """Leave them; whoever waits for the next one hears that they are lost."""
        self._channel.cut()
