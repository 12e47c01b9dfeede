r"""Regular expressions whose time is bounded: one step per state and character, whatever is written.

Python's own tries one way after another, and may try more of them than there are atoms: `(a|aa)*b`. Here all
ways are followed at once (Thompson, 1968). Known are `. [ ] \d \w \s ( ) | * + ? ^ $`; `\` before any
other sign stands for that sign.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache

MAX_PATTERN = 256
"""Characters of an expression. With as many states, a text of 1024 takes 0.3 million steps at most."""

_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]")

Test = Callable[[str], bool]


@dataclass(slots=True)
class _State:
    """Where a match may stand: `test` leads on by one character, `free` without one. The last has neither."""

    test: Test | None = None
    free: list["_State"] = field(default_factory=list)
    anchor: str = ""
    after: "_State | None" = None


def found(pattern: str, text: str) -> bool:
    """The expression matches somewhere in the text. Raises ValueError for what is none."""
    first, last = _compiled(pattern)
    here: dict[int, _State] = {}
    for position in range(len(text) + 1):
        _enter(here, (first,), text, position)
        if id(last) in here:
            return True
        if position < len(text):
            sign = text[position]
            going = [state.after for state in here.values() if state.test is not None and state.test(sign)]
            here = {}
            _enter(here, (state for state in going if state is not None), text, position + 1)
    return id(last) in here


def check(pattern: str) -> str:
    """The expression itself. Raises ValueError for what is none."""
    _compiled(pattern)
    return pattern


def _enter(here: dict[int, _State], states: Iterable[_State], text: str, position: int) -> None:
    """All states that can be reached from these without a character."""
    left = list(states)
    while left:
        state = left.pop()
        if id(state) in here or not _holds(state.anchor, text, position):
            continue
        here[id(state)] = state
        left.extend(state.free)


def _holds(anchor: str, text: str, position: int) -> bool:
    return not anchor or position == (0 if anchor == "^" else len(text))


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> tuple[_State, _State]:
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"the expression has {len(pattern)} characters; {MAX_PATTERN} are allowed")
    reader = _Reader(pattern)
    part = reader.choice()
    if reader.rest:
        raise ValueError(f"'{pattern}' has a ')' without its '('")
    return part


class _Reader:
    """What is left of an expression to read. A part of the machine is its first and its last state."""

    def __init__(self, pattern: str) -> None:
        self.pattern, self.rest = pattern, pattern

    def choice(self) -> tuple[_State, _State]:
        """`one|other`."""
        first, last = self._sequence()
        while self.rest.startswith("|"):
            self.rest = self.rest[1:]
            begin, end = self._sequence()
            first, join = _State(free=[first, begin]), _State()
            last.free.append(join)
            end.free.append(join)
            last = join
        return first, last

    def _sequence(self) -> tuple[_State, _State]:
        first = last = _State()
        while self.rest and self.rest[0] not in "|)":
            begin, end = self._repeated()
            last.free.append(begin)
            last = end
        return first, last

    def _repeated(self) -> tuple[_State, _State]:
        first, last = self._single()
        while self.rest and self.rest[0] in "*+?":
            sign, self.rest = self.rest[0], self.rest[1:]
            begin, end = _State(free=[first]), _State()
            last.free.append(end)
            if sign in "*+":
                last.free.append(first)
            if sign in "*?":
                begin.free.append(end)
            first, last = begin, end
        return first, last

    def _single(self) -> tuple[_State, _State]:
        if self.rest.startswith("("):
            return self._group()
        if self.rest[0] in "^$":
            return self._anchor()
        if self.rest[0] in "*+?{}":
            raise ValueError(f"'{self.pattern}' is no expression: nothing stands before '{self.rest[0]}'")
        last = _State()
        return _State(test=self._test(), after=last), last

    def _group(self) -> tuple[_State, _State]:
        self.rest = self.rest[1:]
        part = self.choice()
        if not self.rest.startswith(")"):
            raise ValueError(f"'{self.pattern}' is no expression: a '(' has no ')'")
        self.rest = self.rest[1:]
        return part

    def _anchor(self) -> tuple[_State, _State]:
        sign, self.rest = self.rest[0], self.rest[1:]
        state = _State(anchor=sign)
        return state, state

    def _test(self) -> Test:
        """What one character must be: a class is left to Python, for one character is one step."""
        part = self._one()
        self.rest = self.rest[len(part) :]
        try:
            known = re.compile(part if part[0] in ".[\\" else re.escape(part), re.ASCII | re.DOTALL)
        except re.error as error:
            raise ValueError(f"'{part}' in '{self.pattern}' is no expression: {error.msg}") from None
        return lambda sign: known.fullmatch(sign) is not None

    def _one(self) -> str:
        if self.rest[0] == "[":
            whole = _CLASS.match(self.rest)
            if whole is None:
                raise ValueError(f"'{self.pattern}' is no expression: a '[' has no ']'")
            return whole[0]
        if self.rest[0] == "\\":
            return self._escape()
        return self.rest[0]

    def _escape(self) -> str:
        if len(self.rest) < 2 or (self.rest[1].isalnum() and self.rest[1] not in "dDwWsS"):
            raise ValueError(f"'{self.pattern}' is no expression: '{self.rest[:2]}' is not known here")
        return self.rest[:2]
