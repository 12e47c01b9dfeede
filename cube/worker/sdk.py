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
from docker.errors import DockerException

from cube.connection import Channel
from cube.worker.engine import EngineError

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
    """requests' transport: one pool for whatever address. It retries nothing, and never waits for ever."""

    def __init__(self, open_channel: OpenChannel, *, stall: float) -> None:
        super().__init__(max_retries=0)
        self._stall = stall
        self._pool = urllib3.HTTPConnectionPool("docker", maxsize=1, open_channel=open_channel)
        self._pool.ConnectionCls = _ChannelConnection

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        # The SDK sets no timeout for a pull.
        return super().send(request, **{**options, "timeout": options.get("timeout") or self._stall})

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> urllib3.HTTPConnectionPool:
        return self._pool

    def close(self) -> None:
        self._pool.close()


def open_client(open_channel: OpenChannel, *, api_version: str, timeout: float, stall: float) -> APIClient:
    """An engine client whose every connection is a new channel.

    In seconds: `timeout` for each answer, `stall` for each pause within a pull.

    Raises EngineError for an engine that is too old for the SDK.
    """
    try:
        client = APIClient(base_url="http://docker:80", version=api_version, timeout=math.ceil(timeout))
    except DockerException as error:
        raise EngineError("this engine cannot be driven", why=str(error)) from error
    client.trust_env = False  # no proxy of ours has a say in what a channel carries
    client.headers["Connection"] = "close"  # a channel costs 1 ms; one kept too long loses a request
    client.mount("http://", _ChannelAdapter(open_channel, stall=stall))
    return client
