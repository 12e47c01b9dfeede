"""A shelf on another machine, over SFTP."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from secrets import token_hex

from cube.connection.deadline import after
from cube.connection.files import Files
from cube.connection.ssh import Connection
from cube.errors import CubeError
from cube.model.sftp import SftpPlace
from cube.volume.shelf import PART, SUM, Draft, siblings

TURN = 24 * 3600.0
"""Seconds that one who writes waits for others at most: a connection carries a few files at once."""

QUIET = 600.0
"""Seconds without a byte after which nobody writes a file any more: each call has ended long before."""


class Sftp:
    """A folder of another machine, over one connection, which any number of threads may use."""

    def __init__(self, connection: Connection, place: SftpPlace) -> None:
        self._connection = connection
        self._place = place

    def where(self, name: str) -> str:
        """Its URL."""
        return str(self._place / name)

    def sizes(self) -> dict[str, int]:
        """The files by name, in bytes; none where there is no such folder yet."""
        with self._files() as files:
            return {file.name: file.size for file in files.listed(self._place.path)}

    def read(self, name: str) -> Iterator[bytes]:
        """The file's bytes, a piece at a time."""
        with self._files() as files:
            yield from files.read(self._path(name))

    @contextmanager
    def drafting(self, name: str) -> Iterator[Draft]:
        """As every shelf; it is on the other machine's disk once it has ended, if its server is able."""
        with self._files() as files:
            files.make_folder(self._place.path)
            part = self._path(name + PART)
            with ExitStack() as undo:
                with files.written(part, mode=0o600) as write:
                    undo.callback(self._take_back, files, name)
                    self._clear_away(files, name)
                    draft = Draft(write)
                    yield draft
                self._write_down(files, name + SUM, draft.line(name))
                files.rename(part, self._path(name))
                undo.pop_all()

    def remove(self, name: str) -> None:
        """One that is gone already is done."""
        with self._files() as files:
            files.remove(self._path(name))

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether nobody writes there just now. Over SFTP nothing can be locked: two may begin at once."""
        with self._files() as files:
            files.make_folder(self._place.path)
            is_alone = not any(is_live for _, is_live in self._parts(files))
        yield is_alone

    def _take_back(self, files: Files, name: str) -> None:
        with suppress(CubeError):
            files.remove(self._path(name + PART))
            files.remove(self._path(name + SUM))

    def _clear_away(self, files: Files, name: str) -> None:
        for found, is_live in self._parts(files):
            if found.startswith(siblings(name)) and not is_live:
                files.remove(self._path(found))

    def _parts(self, files: Files) -> list[tuple[str, bool]]:
        """What is not whole, and whether it is still written, by that machine's clock."""
        # What is written just now tells what that clock shows.
        mark = f".now-{token_hex(8)}"
        self._write_down(files, mark, "")
        found = {file.name: file.changed_at for file in files.listed(self._place.path)}
        files.remove(self._path(mark))
        return [(name, found[mark] - at < QUIET) for name, at in found.items() if name.endswith(PART)]

    def _write_down(self, files: Files, name: str, text: str) -> None:
        path = self._path(name)
        with files.written(path, mode=0o600) as write:
            write(text.encode())

    def _path(self, name: str) -> str:
        return (self._place / name).path

    @contextmanager
    def _files(self) -> Iterator[Files]:
        with self._connection.files(deadline=after(TURN)) as files:
            yield files
