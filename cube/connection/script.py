"""How a fixed script, and an argument vector, travel to a node: no shell parses a byte of a user's."""

import shlex
from collections.abc import Sequence

from cube.errors import InputError

_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ,./:=@_+-")

RUN_WORDS = """\
while :; do
  IFS= read -r word || exit 125
  [ "$word" = . ] && break
  word=$(printf "%b." "${word#=}")
  set -- "$@" "${word%.}"
done
"$@"
exit $?
"""
"""Reads one word a line (see `words`), then runs them with what is left of stdin.

`read` takes a pipe byte by byte, so nothing of the program's own stdin is lost. A vector that was cut
short by a lost connection lacks its last line, and is not run. No `exec`: a killed program answers 128+n.
"""


def login_command(script: str, mark: str) -> str:
    """The command for the login shell, whichever it is: run `script` by sh, its output after `mark`.

    The mark stands on both streams, so that what a login prints is told from what the script prints.
    """
    marked = f"echo {mark}; echo {mark} >&2\n{script}"
    return f"exec /bin/sh -c {shlex.quote(marked)}"


def after_mark(output: bytes, mark: str) -> bytes | None:
    """What the script itself wrote; None if it never ran."""
    _, found, rest = output.partition(f"{mark}\n".encode())
    return rest if found else None


def words(argv: Sequence[str]) -> bytes:
    """The argument vector as lines that `printf %b` turns back into bytes: `=` and the word, at last a dot.

    Raises InputError for an empty vector and for a NUL, which no program can be given.
    """
    encoded = [argument.encode("utf-8", "surrogateescape") for argument in argv]
    if not encoded or any(b"\0" in word for word in encoded):
        raise InputError(
            "not a command", why="it is empty" if not encoded else "an argument holds a NUL byte"
        )
    return b"".join(b"=" + _escaped(word) + b"\n" for word in encoded) + b".\n"


def _escaped(word: bytes) -> bytes:
    return b"".join(bytes((byte,)) if byte in _PLAIN else b"\\0%03o" % byte for byte in word)
