"""The operator's own engine, on this machine: which images it has, and their bytes."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import quote

from cube.errors import CubeError, InputError
from cube.image.recipe import Recipe, images_of, recipe_of
from cube.model.image import Image

SOCKET = "/var/run/docker.sock"
"""Where an engine listens if nobody says otherwise."""

ANSWER = 60.0
"""Seconds that the engine may be silent. Before the first byte of an image it packs the whole of it."""

PACKING = 1800.0

LISTING = 2.0
"""As a look at a node waits for the same."""

MAX_ANSWER = 16 * 1024 * 1024


class NoEngineError(CubeError):
    """No engine answers on this machine."""


class OwnEngine:
    """Docker's engine behind a socket of this machine; it is asked anew each time."""

    def __init__(self, path: str = SOCKET) -> None:
        self.path = path

    def image(self, name: str) -> Recipe | None:
        """The image of that name or id; None: the engine has none. Raises NoEngineError."""
        with self._asked(f"/images/{quote(name, safe='')}/json", ANSWER) as response:
            if response.status == 404:
                return None
            return recipe_of(name, self._read(response))

    def images(self) -> tuple[Image, ...]:
        """Every image that the engine has. Raises NoEngineError, CubeError."""
        with self._asked("/images/json", LISTING) as response:
            try:
                return images_of(self._read(response))
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise CubeError("the list of images cannot be read", where=self.path) from error

    def needed(self, name: str) -> Recipe:
        """The image of that name. Raises InputError where the engine has none, NoEngineError."""
        found = self.image(name)
        if found is None:
            cure = "Build it, or pull it: docker images shows what is there."
            raise InputError(f"this machine's engine has no image {name!r}", where=self.path, cure=cure)
        return found

    @contextmanager
    def saved(self, name: str) -> Iterator[HTTPResponse]:
        """The image as one long tar, to be read as it comes. Raises NoEngineError, CubeError."""
        with self._asked(f"/images/{quote(name, safe='')}/get", PACKING) as response:
            if response.status != 200:
                raise self._refused(response)
            yield response

    @contextmanager
    def _asked(self, path: str, patience: float) -> Iterator[HTTPResponse]:
        connection = HTTPConnection("docker")
        try:
            connection.sock = self._connected(patience)
            connection.request("GET", path)
            yield connection.getresponse()
        except (OSError, EOFError, HTTPException) as error:
            raise NoEngineError(
                "this machine's Docker engine does not answer",
                where=self.path,
                why=str(error) or type(error).__name__,
                cure="Start it, or name its socket: CUBE_ENGINE=/path/to/docker.sock",
            ) from error
        finally:
            connection.close()

    def _connected(self, patience: float) -> socket.socket:
        door = socket.socket(socket.AF_UNIX)
        door.settimeout(patience)
        try:
            door.connect(self.path)
        except BaseException:
            door.close()
            raise
        return door

    def _read(self, response: HTTPResponse) -> Any:
        if response.status != 200:
            raise self._refused(response)
        try:
            return json.loads(response.read(MAX_ANSWER))
        except ValueError as error:
            raise CubeError("the engine's answer is no JSON", where=self.path, why=str(error)) from error

    def _refused(self, response: HTTPResponse) -> CubeError:
        said = response.read(4096).decode("utf-8", "replace").strip()
        return CubeError("this machine's engine refused", where=self.path, why=said)
