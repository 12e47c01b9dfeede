"""Files on the other side, over SFTP: read and written a piece at a time, each call with its limit."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from stat import S_ISREG
from typing import Any

from cube.connection.deadline import after
from cube.connection.failure import ConnectionFailed
from cube.connection.library import paramiko
from cube.errors import CubeError
from cube.model.observation import Cause

SILENCE = 60.0
"""Seconds that one call may take: a piece that is read or written, a name that is changed."""

PIECE = 255 * 1024
"""Bytes of a file that are asked for at once: as many as OpenSSH's server gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of a folder: its size in bytes, and when it was changed last, by the other side's clock."""

    name: str
    size: int
    changed_at: float


def over(channel: Any, where: str) -> Any:
    """The client over a new channel. Raises ConnectionFailed where the other side has no SFTP."""
    try:
        channel.invoke_subsystem("sftp")
        return paramiko.SFTPClient(channel)
    except (paramiko.SSHException, paramiko.SFTPError) as error:
        if not channel.get_transport().is_active():
            raise
        cure = "Have it in the host's sshd_config: Subsystem sftp internal-sftp"
        raise ConnectionFailed(
            Cause.STRANGE, where=where, what="the host offers no SFTP", why=str(error), cure=cure
        ) from error


class Files:
    """One session over SFTP, for one thread.

    Each call raises CubeError where the other side refuses, and ConnectionFailed where it is silent or gone.
    """

    def __init__(
        self, client: Any, *, where: str, bounded: Callable[[str, float], AbstractContextManager[None]]
    ) -> None:
        self._client = client
        self._where = where
        self._bounded = bounded

    def listed(self, folder: str) -> tuple[File, ...]:
        """The files of the folder, but not the folders in it; none where there is no such folder."""
        with self._call("list", folder):
            try:
                found = self._client.listdir_attr(folder)
            except FileNotFoundError:
                return ()
        return tuple(
            File(name=each.filename, size=each.st_size or 0, changed_at=each.st_mtime or 0)
            for each in found
            if S_ISREG(each.st_mode or 0)
        )

    def make_folder(self, path: str) -> None:
        """Have the folder there, and those above it."""
        parts = path.split("/")
        for above in filter(None, ("/".join(parts[:count]) for count in range(1, len(parts) + 1))):
            with self._call("make the folder", above):
                self._make_one(above)

    def read(self, path: str) -> Iterator[bytes]:
        """Its bytes, a piece at a time."""
        with self._call("read", path):
            file = self._client.open(path, "r")
        file.MAX_REQUEST_SIZE = PIECE  # a round trip for each 32 KiB is slow over a long way
        try:
            while piece := self._piece(file, path):
                yield piece
        finally:
            with suppress(CubeError), self._call("read", path):
                file.close()

    @contextmanager
    def written(self, path: str, *, mode: int) -> Iterator[Callable[[bytes], None]]:
        """A new file, with that mode from its first byte on; what it is called with is written.

        At the end of the block all of it is on the disk, as far as the other side can say so.
        """
        with self._call("write", path):
            file = self._client.open(path, "wx")
            file.chmod(mode)
        try:
            yield lambda piece: self._write(file, piece, path)
            with self._call("write", path):
                self._settle(file)
        finally:
            with suppress(CubeError), self._call("write", path):
                file.close()

    def rename(self, path: str, to: str) -> None:
        """At once, also in place of another file."""
        with self._call("rename", path):
            self._client.posix_rename(path, to)

    def remove(self, path: str) -> None:
        """One that is gone already is done."""
        with self._call("remove", path), suppress(FileNotFoundError):
            self._client.remove(path)

    def _make_one(self, path: str) -> None:
        """Most are there; SFTP has one answer for that and for what is wrong, so ask which it was."""
        try:
            self._client.mkdir(path)
        except OSError:
            try:
                self._client.stat(path)
            except FileNotFoundError:
                pass
            else:
                return
            raise

    def _piece(self, file: Any, path: str) -> bytes:
        with self._call("read", path):
            piece: bytes = file.read(PIECE)
        return piece

    def _write(self, file: Any, piece: bytes, path: str) -> None:
        with self._call("write", path):
            file.set_pipelined(True)
            file.write(piece)

    def _settle(self, file: Any) -> None:
        """What became of writes that are under way is only heard with one that waits for its answer."""
        file.set_pipelined(False)
        file._write(b"")  # noqa: SLF001 - there is no other way to ask
        with suppress(OSError):  # an extension, which not every server has
            self._client._request(paramiko.sftp.CMD_EXTENDED, "fsync@openssh.com", file.handle)  # noqa: SLF001

    @contextmanager
    def _call(self, what: str, path: str) -> Iterator[None]:
        with self._bounded(f"SFTP: {what} {path}", after(SILENCE)):
            try:
                yield
            except paramiko.SFTPError as error:
                raise ConnectionFailed(Cause.STRANGE, where=self._where, why=str(error)) from error
            except OSError as error:
                if self._client.get_channel().closed:
                    raise  # the connection's end, not an answer
                raise CubeError(
                    f"cannot {what} {path}", where=self._where, why=error.strerror or str(error)
                ) from error
