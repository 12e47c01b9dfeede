"""Opening a channel to a unix socket on the node, which paramiko has no call for.

It reaches into paramiko's Transport, whose open_channel cannot send this kind's fields (paramiko#544).
The engine's API over such a channel costs 0.5 to 1 ms a call; `docker system dial-stdio` costs 230 ms to
start, one of sshd's ten sessions, and leaves processes behind on the node.
"""

from threading import Event
from typing import Any

from cube.connection.library import paramiko

_KIND = "direct-streamlocal@openssh.com"


def open_streamlocal(transport: Any, path: str) -> Any:
    """A channel to the socket at `path`. Blocks until the node answers: the caller keeps the deadline.

    Raises paramiko.ChannelException where the node refuses, SSHException or EOFError where all ends.
    """
    number, answered = _register(transport, path)
    while not answered.wait(1.0) and transport.is_active():
        pass
    opened = transport._channels.get(number)  # noqa: SLF001 - see above
    if opened is None or not transport.is_active():
        raise transport.get_exception() or paramiko.SSHException("the connection ended")
    return opened


def _register(transport: Any, path: str) -> tuple[int, Event]:
    """As paramiko's Transport.open_channel does for the kinds that it knows, with this kind's own fields."""
    with transport.lock:
        number: int = transport._next_channel()  # noqa: SLF001
        channel: Any = paramiko.Channel(number)
        transport._channels.put(number, channel)  # noqa: SLF001
        transport.channel_events[number] = answered = Event()
        transport.channels_seen[number] = True
        channel._set_transport(transport)  # noqa: SLF001
        channel._set_window(transport.default_window_size, transport.default_max_packet_size)  # noqa: SLF001
    transport._send_user_message(_open_message(transport, number, path))  # noqa: SLF001
    return number, answered


def _open_message(transport: Any, number: int, path: str) -> Any:
    message = paramiko.Message()
    message.add_byte(paramiko.common.cMSG_CHANNEL_OPEN)
    message.add_string(_KIND)
    message.add_int(number)
    message.add_int(transport.default_window_size)
    message.add_int(transport.default_max_packet_size)
    message.add_string(path)
    message.add_string("")
    message.add_int(0)
    return message
