"""Streams to tasks through their node, where one that hangs harms nobody else."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError

from cube.connection import Channel

Forward = Callable[[str, int, float], Channel]
"""Opens a stream to an address and port as the node sees them, within so many seconds."""

KERNEL_PATIENCE = 200.0
"""Seconds after which sshd has given up on any connect: Linux repeats a SYN for 127."""


class Forwards:
    """Opens streams over one connection, and leaves those behind that take too long.

    An SSH channel that is being opened cannot be called back, and its deadline would end the connection, with
    all else that goes over it. So the opening runs beside us. While one hangs, its place is not asked again:
    they would pile up.
    """

    def __init__(self, forward: Forward) -> None:
        self._forward = forward
        self._lock = threading.Lock()
        self._hanging: set[tuple[str, int]] = set()

    def open(self, address: str, port: int, seconds: float) -> Channel:
        """A stream to that place. Raises TimeoutError, ChannelRefused; ConnectionFailed where all is lost."""
        place = (address, port)
        with self._lock:
            if place in self._hanging:
                raise TimeoutError(f"{address} port {port} has not answered yet")
        opening: Future[Channel] = Future()
        threading.Thread(target=self._fill, args=(opening, place), daemon=True, name="cube-forward").start()
        try:
            return opening.result(seconds)
        except FutureTimeoutError:
            self._leave(opening, place)
            raise

    def _fill(self, opening: "Future[Channel]", place: tuple[str, int]) -> None:
        try:
            opening.set_result(self._forward(*place, KERNEL_PATIENCE))
        except Exception as error:  # noqa: BLE001 - it is raised where the result is waited for
            opening.set_exception(error)

    def _leave(self, opening: "Future[Channel]", place: tuple[str, int]) -> None:
        with self._lock:
            self._hanging.add(place)

        def ended(done: "Future[Channel]") -> None:
            with self._lock:
                self._hanging.discard(place)
            if done.exception() is None:
                done.result().close()

        opening.add_done_callback(ended)
