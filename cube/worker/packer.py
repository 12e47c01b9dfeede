"""The node's own programs at work on a volume: what changed is found, packed, unpacked and removed there.

They run in a carrier that has the node's /usr beside the volume, to read, and nothing else: no network, no
capability that files do not need. No shell is told a name: names of files come by the standard input.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass

from cube.connection import Channel
from cube.errors import CubeError, UnreachableError
from cube.volume.delta import LISTED, Listing, read_listing
from cube.volume.tree import FOLDER
from cube.worker.carrier import PROGRAMS
from cube.worker.execution import Execution, begin

ATTRIBUTES = ("--format=posix", "--numeric-owner", "--xattrs", "--xattrs-include=security.capability")

ALIVE = "--checkpoint=100"
"""With every MiB tar says something: a channel where nothing moves is given up."""

TAR, FIND, SUM = f"{PROGRAMS}/bin/tar", f"{PROGRAMS}/bin/find", f"{PROGRAMS}/bin/b2sum"
REMOVE = (f"{PROGRAMS}/bin/xargs", "--null", "--no-run-if-empty", f"{PROGRAMS}/bin/rm", "-rf", "--verbose")
INSIDE = f"--directory=/{FOLDER}"

SAME = ("--pax-option=exthdr.name=%d/%f,delete=atime,delete=ctime", f"--use-compress-program={SUM}")
"""A sum of the tar in its place, with nothing of when it was packed, or by which process."""

Pieces = Generator[bytes, None, None]
"""What a program writes, as it comes. Who closes it lets the program go."""

MISSING = (126, 127)
"""How a program ends that cannot be started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packer:
    """The programs of one node, at one of its volumes, in the container of that id.

    Each call raises CubeError where a program fails, UnreachableError where the connection is lost.
    """

    node: str
    container: str
    open_channel: Callable[[], Channel]

    def refuse_others(self) -> None:
        """Raises CubeError where the node has not the programs that it takes: those of GNU."""
        for program, name in ((TAR, "GNU tar"), (FIND, "GNU findutils"), (SUM, "b2sum")):
            version = b"".join(self._run((program, "--version"), may_end=(0, *MISSING)))
            if name.encode() not in version.partition(b"\n")[0]:
                raise CubeError(f"its {program} is not {name}", where=self.node)

    def listed(self, *, is_quiet: bool) -> Listing:
        """What is in the volume. Where that is not quiet something may vanish meanwhile."""
        argv = (FIND, f"/{FOLDER}", "!", "-type", "s", "-printf", LISTED)
        return read_listing(self._run(argv, may_end=(0,) if is_quiet else (0, 1)))

    def packed(self) -> Pieces:
        """All of it as a tar, a piece at a time, while files change and vanish."""
        return self._run((TAR, "--create", *ATTRIBUTES, ALIVE, INSIDE, "."), may_end=(0, 1))

    def packed_only(self, paths: Iterable[bytes]) -> Pieces:
        """Those entries as a tar, and of folders nothing that is in them."""
        which = ("--no-recursion", "--null", "--no-unquote", "--verbatim-files-from", "--files-from=-")
        named = (b"./" + path + b"\0" for path in paths)
        return self._run((TAR, "--create", *ATTRIBUTES, ALIVE, INSIDE, *which), named)

    def unpack(self, pieces: Pieces) -> None:
        """Put what is in the tar into the volume, in place of what has the same path, and close that."""
        whole = ("--preserve-permissions", "--same-owner", "--delay-directory-restore")
        argv = (TAR, "--extract", *whole, *ATTRIBUTES[1:], ALIVE, INSIDE)
        with closing(pieces):
            deque(self._run(argv, pieces), maxlen=0)

    def remove(self, paths: Iterable[bytes]) -> None:
        """Remove those entries, and all that is in them."""
        deque(self._run(REMOVE, (f"/{FOLDER}/".encode() + path + b"\0" for path in paths)), maxlen=0)

    def digest(self) -> str:
        """A BLAKE2 of all that is in it, made there: names, kinds, modes, owners, times, contents."""
        argv = (TAR, "--create", "--sort=name", *ATTRIBUTES, *SAME, ALIVE, INSIDE, ".")
        return b"".join(self._run(argv)).decode()

    def _run(
        self, argv: Sequence[str], read: Iterable[bytes] = (), *, may_end: Sequence[int] = (0,)
    ) -> Pieces:
        """What the program writes, a piece at a time, while it reads those pieces."""
        said = b""
        command = begin(self.open_channel, self.container, argv, tty=False, has_input=True)
        with ThreadPoolExecutor(max_workers=1) as pool:
            feeding = pool.submit(_feed, command, read)
            try:
                for stream, piece in command.output():
                    if stream == "stdout":
                        yield piece
                    else:
                        said = (said + piece)[-2000:]
            finally:
                command.close()
                feeding.result()  # why there was no more to read is why the program failed
        if (status := command.exit_status()) not in may_end:
            raise CubeError(f"{argv[0]} ended with {status}", where=self.node, why=_last_words(said))


def _feed(command: Execution, pieces: Iterable[bytes]) -> None:
    """Let it read them all, as far as it will: how it ended tells why. Raises what the pieces raise."""
    try:
        for piece in pieces:
            if not _is_read(command, piece):
                return
    except BaseException:
        command.close()  # whoever waits for its output hears of it
        raise
    with suppress(OSError, UnreachableError):
        command.end_input()


def _is_read(command: Execution, piece: bytes) -> bool:
    try:
        command.send(piece)
    except (OSError, UnreachableError):
        return False
    return True


def _last_words(said: bytes) -> str:
    """What it complained of last, and not how far it had come."""
    lines = [line for line in said.decode("utf-8", "replace").splitlines() if "checkpoint" not in line]
    return "; ".join(lines[-3:])
