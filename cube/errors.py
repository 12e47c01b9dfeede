"""Everything that can go wrong, as one family that speaks to a person.

    CubeError                exit 1: tried, and failed
    ├── InputError           exit 2: bad usage or bad input; nothing was touched
    ├── UnreachableError     exit 3: part of the fleet did not answer; what happened there is unknown
    │   └── AuthenticityError        the host key is not the pinned one, or none is pinned
    ├── LockedError          exit 4: somebody else holds the lock
    ├── ChangedError         exit 1: what was to be changed is not what whoever asked had seen
    └── InternalError        exit 70: a promise of Cube's own was broken; please report it

A message says what failed, where (a node, or file:line:column), why, and what to do next.
"""

from traceback import extract_tb, format_tb


class CubeError(Exception):
    """A failure that a person can act on; `exit_code` is what the process ends with.

    `field` is for who has asked by an API: what of the request is meant, such as `counts.web`.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", why: str = "", cure: str = "", field: str = "") -> None:
        super().__init__(what, where, why, cure)
        self.what = what
        self.where = where
        self.why = why
        self.cure = cure
        self.field = field

    @property
    def headline(self) -> str:
        """`where: what: why`."""
        return ": ".join(part for part in (self.where, self.what, self.why) if part)

    def __str__(self) -> str:
        """The headline on the first line, the cure on a line of its own."""
        return f"{self.headline}\n  {self.cure}" if self.cure else self.headline


class InputError(CubeError):
    """What a person wrote or typed cannot be used; nothing was touched."""

    exit_code = 2


class UnreachableError(CubeError):
    """A node did not answer in time, or refused; nothing is known about what runs there."""

    exit_code = 3


class AuthenticityError(UnreachableError):
    """A host showed a key that is not the pinned one; no credential was sent."""


class LockedError(CubeError):
    """Another Cube works on the same state."""

    exit_code = 4


class ChangedError(CubeError):
    """What was to be changed is not what whoever asked had seen; nothing was touched."""


class InternalError(CubeError):
    """An invariant of Cube's own does not hold: a bug in Cube, not in what the user did."""

    exit_code = 70  # EX_SOFTWARE of sysexits.h


def bug(error: BaseException, *, cure: str = "") -> InternalError:
    """What nobody foresaw, told by its kind and its place alone: its own words may quote a secret."""
    places = [f" at {frame.filename}:{frame.lineno}" for frame in extract_tb(error.__traceback__)]
    what = f"this is a bug in Cube: {type(error).__name__}{''.join(places[-1:])}"
    return InternalError(what, cure=cure)


def traced(error: BaseException) -> str:
    """From call to call how it came to that, and to what it followed upon; each without its own words."""
    before = error.__cause__ or error.__context__
    calls = "".join(format_tb(error.__traceback__))
    return f"{traced(before) if before else ''}{calls}{type(error).__name__}\n"
