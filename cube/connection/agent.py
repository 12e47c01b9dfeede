"""An SSH agent in this process's memory: one key, for one login from a node to another.

A connection lends it to a command on a node (see Connection.run). The key itself never leaves this process,
and the agent is gone with the command's connection.
"""

import base64
import struct
import threading
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_KIND = b"ssh-ed25519"

_FAILURE = bytes((5,))
_REQUEST_IDENTITIES, _IDENTITIES = 11, 12
_SIGN_REQUEST, _SIGNATURE = 13, 14

_MAX_REQUEST = 64 * 1024


class Agent:
    """A key that is made with it, and signs once. Speaks the agent protocol of OpenSSH."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self._blob = _string(_KIND) + _string(self._key.public_key().public_bytes_raw())
        self._turn = threading.Lock()
        self._has_signed = False

    @property
    def public(self) -> str:
        """The public half, as authorized_keys has it: `ssh-ed25519 AAAA...`."""
        return f"{_KIND.decode()} {base64.b64encode(self._blob).decode()}"

    def serve(self, channel: Any) -> None:
        """Answer whoever asks over that channel, in a thread of its own that ends with the channel."""
        threading.Thread(target=self._serve, args=(channel,), name="cube-agent", daemon=True).start()

    def answer(self, request: bytes) -> bytes:
        """What it says to one request, both without their length."""
        if request[:1] == bytes((_REQUEST_IDENTITIES,)):
            return bytes((_IDENTITIES,)) + struct.pack(">I", 1) + _string(self._blob) + _string(b"")
        if request[:1] == bytes((_SIGN_REQUEST,)):
            return self._signed(request[1:])
        return _FAILURE

    def _signed(self, fields: bytes) -> bytes:
        try:
            blob, rest = _first(fields)
            data, _ = _first(rest)
        except ValueError:
            return _FAILURE
        with self._turn:
            if blob != self._blob or self._has_signed:
                return _FAILURE
            self._has_signed = True
        signature = _string(_KIND) + _string(self._key.sign(data))
        return bytes((_SIGNATURE,)) + _string(signature)

    def _serve(self, channel: Any) -> None:
        with channel, channel.makefile("rb") as asked:
            while len(head := asked.read(4)) == 4:
                (size,) = struct.unpack(">I", head)
                if size > _MAX_REQUEST or len(request := asked.read(size)) < size:
                    return
                channel.sendall(_string(self.answer(request)))


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _first(fields: bytes) -> tuple[bytes, bytes]:
    """The first string of several, and the rest. Raises ValueError where it is cut short."""
    size = int.from_bytes(fields[:4], "big")
    if len(fields) < 4 + size:
        raise ValueError("cut short")
    return fields[4 : 4 + size], fields[4 + size :]
