"""SSH: one connection per node, a deadline on every call, host keys checked before any credential is sent.

A deadline is an instant on `time.monotonic()`: `after(20)` is twenty seconds from now, and one deadline may
be given to a series of calls. `Dialer` opens connections (cube/connection/dialer.py); the names here are
light to import, paramiko is not.
"""

from cube.connection.channel import Channel
from cube.connection.deadline import after, remaining
from cube.connection.failure import ChannelRefused, ConnectionFailed, HostKeyRefused
from cube.connection.session import Answer

__all__ = [
    "Answer",
    "Channel",
    "ChannelRefused",
    "ConnectionFailed",
    "HostKeyRefused",
    "after",
    "remaining",
]
