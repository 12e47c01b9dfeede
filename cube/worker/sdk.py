"""The docker SDK over one node's SSH connection. It takes 200 ms to import: only what changes something does.

The SDK's own ways to an engine are not used: `from_env` follows contexts and may reach another engine, and
its `ssh://` has neither deadlines nor a way back from a dead transport.
"""

import math
from collections.abc import Callable
from typing import Any

import requests
import requests.adapters
import urllib3
import urllib3.connection
from docker import APIClient

from cube.connection import Channel

OpenChannel = Callable[[float], Channel]
"""A channel to the engine's socket, opened within so many seconds."""


class _ChannelConnection(urllib3.connection.HTTPConnection):
    """urllib3's connection, with a channel where it would open a socket."""

    def __init__(self, *args: Any, open_channel: OpenChannel, **options: Any) -> None:
        super().__init__(*args, **options)
        self._open_channel = open_channel

    def _new_conn(self) -> Any:
        assert isinstance(self.timeout, int | float)
        channel = self._open_channel(self.timeout)
        channel.settimeout(self.timeout)
        return channel


class _ChannelAdapter(requests.adapters.HTTPAdapter):
    """requests' transport: one pool, whatever the address says. It retries nothing."""

    def __init__(self, open_channel: OpenChannel) -> None:
        super().__init__(max_retries=0)
        self._pool = urllib3.HTTPConnectionPool("docker", maxsize=1, open_channel=open_channel)
        self._pool.ConnectionCls = _ChannelConnection

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> urllib3.HTTPConnectionPool:
        return self._pool

    def close(self) -> None:
        self._pool.close()


def open_client(open_channel: OpenChannel, *, api_version: str, timeout: float) -> APIClient:
    """An engine client whose every connection is a new channel. `timeout` in seconds, for each answer."""
    client = APIClient(base_url="http://docker", version=api_version, timeout=math.ceil(timeout))
    client.trust_env = False  # no proxy of ours has a say in what a channel carries
    client.headers["Connection"] = "close"  # a channel costs 1 ms; one kept too long loses a request
    client.mount("http://", _ChannelAdapter(open_channel))
    return client
