"""Opening the channels of a connection: a command's session, a TCP port, a unix socket on the node.

It reaches into paramiko's Transport, whose open_channel cannot send a unix socket's fields (paramiko#544)
and loses the reason when two threads are refused at once. The engine's API over a socket's channel costs
0.5 to 1 ms a call; `docker system dial-stdio` costs 230 ms to start, one of sshd's ten sessions, and leaves
processes behind on the node.
"""

from threading import Event
from typing import Any

from cube.connection.library import paramiko

_UNKNOWN_REASON = 2


def open_session(transport: Any) -> Any:
    """A channel to run one command on. Raises as `open_socket`."""
    return _open(transport, "session", paramiko.Message())


def open_port(transport: Any, host: str, port: int) -> Any:
    """A channel to a TCP port, as the node reaches it. Raises as `open_socket`."""
    fields = paramiko.Message()
    fields.add_string(host)
    fields.add_int(port)
    fields.add_string("127.0.0.1")
    fields.add_int(0)
    return _open(transport, "direct-tcpip", fields)


def open_socket(transport: Any, path: str) -> Any:
    """A channel to the unix socket at `path`. Blocks until the node answers: the caller keeps the deadline.

    Raises paramiko.ChannelException where the node refuses, SSHException or EOFError where all ends.
    """
    fields = paramiko.Message()
    fields.add_string(path)
    fields.add_string("")
    fields.add_int(0)
    return _open(transport, "direct-streamlocal@openssh.com", fields)


def end_input(channel: Any) -> None:
    """Tell the other side that nothing more is written. Blocks while keys are exchanged.

    paramiko's shutdown_write makes its message, waits for the keys, and sends it then. If the other side has
    closed the channel meanwhile, the answer to that may overtake it, and sshd ends the whole connection over
    an end for a channel that is gone.
    """
    transport = channel.get_transport()
    while transport.is_active() and not channel.closed:
        transport.clear_to_send.wait(0.1)
        with channel.lock:
            if transport.clear_to_send.is_set():
                message = None if channel.closed else channel._send_eof()  # noqa: SLF001
                if message is not None:
                    transport._send_user_message(message)  # noqa: SLF001
                return


def _open(transport: Any, kind: str, fields: Any) -> Any:
    channel, answered = _register(transport)
    transport._send_user_message(_request(channel, kind, fields))  # noqa: SLF001
    while not answered.wait(1.0) and transport.is_active():
        pass
    if channel.active and transport.is_active():
        return channel
    reason = transport.get_exception()
    if transport.is_active() and not isinstance(reason, paramiko.ChannelException):
        raise paramiko.ChannelException(_UNKNOWN_REASON, "refused")
    raise reason or paramiko.SSHException("the connection ended")


def _register(transport: Any) -> tuple[Any, Event]:
    """As Transport.open_channel does. The transport's map of channels is weak: who waits must hold it."""
    with transport.lock:
        number = transport._next_channel()  # noqa: SLF001
        channel: Any = paramiko.Channel(number)
        transport._channels.put(number, channel)  # noqa: SLF001
        transport.channel_events[number] = answered = Event()
        transport.channels_seen[number] = True
        channel._set_transport(transport)  # noqa: SLF001
        channel._set_window(transport.default_window_size, transport.default_max_packet_size)  # noqa: SLF001
    return channel, answered


def _request(channel: Any, kind: str, fields: Any) -> Any:
    message = paramiko.Message()
    message.add_byte(paramiko.common.cMSG_CHANNEL_OPEN)
    message.add_string(kind)
    message.add_int(channel.chanid)
    message.add_int(channel.in_window_size)
    message.add_int(channel.in_max_packet_size)
    message.add_bytes(fields.asbytes())
    return message
