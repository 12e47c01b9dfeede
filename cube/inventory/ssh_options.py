"""The options for `ssh` that people write into `ansible_ssh_common_args`, as far as Cube follows them."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from cube.inventory import grammar
from cube.model.node import Hop

MAX_JUMPS = 8

_WITH_VALUE = frozenset("oJiplFWbcDELmRSw")
_HARMLESS_FLAGS = frozenset("46AaCkqTtvx")
_HARMLESS = frozenset(
    {"addkeystoagent", "batchmode", "compression", "connecttimeout", "connectionattempts", "controlmaster"}
    | {"controlpath", "controlpersist", "forwardagent", "identitiesonly", "loglevel"}
    | {"preferredauthentications", "pubkeyauthentication", "passwordauthentication", "requesttty"}
    | {"serveralivecountmax", "serveraliveinterval", "tcpkeepalive"}
)
_HOST_KEY_OPTIONS = frozenset(
    {"stricthostkeychecking", "userknownhostsfile", "globalknownhostsfile", "checkhostip", "updatehostkeys"}
)
_SHORT = {"J": "proxyjump", "i": "identityfile", "p": "port", "l": "user"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SshOptions:
    """What the options ask for; None: they do not say. `warnings` name what Cube does not do."""

    jumps: tuple[Hop, ...] | None = None
    port: int | None = None
    user: str | None = None
    identity_file: str | None = None
    warnings: tuple[str, ...] = ()


def parse_options(text: str) -> SshOptions:
    """What the options ask for; of one that stands twice the first counts, as with ssh.

    Raises ValueError, naming the option, for what Cube cannot do.
    """
    options, rest = _parse(shlex.split(text))
    if rest:
        raise ValueError(f"'{rest[0]}' is no option of ssh")
    return options


def parse_hop(text: str) -> Hop:
    """A jump host as in ProxyJump: `[user@]host[:port]` or `ssh://...`. Raises ValueError."""
    user, at, place = text.removeprefix("ssh://").rstrip("/").rpartition("@")
    host, port = _host_and_port(place)
    return Hop(
        address=grammar.address(host),
        port=grammar.port(port) if port is not None else None,
        user=grammar.user(user) if at else None,
    )


def _parse(words: list[str]) -> tuple[SshOptions, list[str]]:
    """The options, and the words that are none."""
    found: dict[str, str] = {}
    warnings: list[str] = []
    rest: list[str] = []
    for key, value in _pairs(words):
        if key == "":
            rest.append(value)
        elif key in ("proxyjump", "proxycommand"):
            found.setdefault("jumps", f"{key}={value}")
        elif key in ("port", "user", "identityfile"):
            found.setdefault(key, value)
        elif key in _HOST_KEY_OPTIONS:
            warnings.append(f"ssh's option {key} is not followed: Cube always checks host keys")
        elif key not in _HARMLESS:
            raise ValueError(
                f"Cube does not know ssh's option '{key}'; put it into ~/.ssh/config or leave it out"
            )
    options = SshOptions(
        jumps=_jumps(found["jumps"]) if "jumps" in found else None,
        port=grammar.port(found["port"]) if "port" in found else None,
        user=grammar.user(found["user"]) if "user" in found else None,
        identity_file=grammar.path(found["identityfile"]) if "identityfile" in found else None,
        warnings=tuple(warnings),
    )
    return options, rest


def _pairs(words: list[str]) -> Iterator[tuple[str, str]]:
    """Every option as its long name in lower case with its value; a word that is none has the name ''."""
    pending = iter(words)
    for word in pending:
        if not word.startswith("-") or word == "-":
            yield "", word
            continue
        letter, value = word[1], word[2:]
        if letter not in _WITH_VALUE:
            yield from _flags(word)
            continue
        value = value or next(pending, "")
        if not value:
            raise ValueError(f"-{letter} needs a value")
        yield _long(letter, value)


def _flags(word: str) -> Iterator[tuple[str, str]]:
    for letter in word[1:]:
        if letter not in _HARMLESS_FLAGS:
            raise ValueError(f"Cube does not know ssh's option '-{letter}'")
    return iter(())


def _long(letter: str, value: str) -> tuple[str, str]:
    if letter == "o":
        key, _, setting = (
            value.replace(" ", "=", 1).partition("=") if "=" not in value else value.partition("=")
        )
        return key.strip().lower(), setting.strip()
    return _SHORT.get(letter, f"-{letter}"), value


def _jumps(written: str) -> tuple[Hop, ...]:
    key, _, value = written.partition("=")
    if value.lower() == "none":
        return ()
    if key == "proxycommand":
        return _jumps_of_command(value)
    hops = tuple(parse_hop(part.strip()) for part in value.split(","))
    if len(hops) > MAX_JUMPS:
        raise ValueError(f"there are more than {MAX_JUMPS} jump hosts")
    return hops


def _jumps_of_command(command: str) -> tuple[Hop, ...]:
    """`ssh -W %h:%p bastion` is a jump by another name; it was the only one before OpenSSH 7.3."""
    program, *words = shlex.split(command) or [""]
    forwards = [word for word in words if word.replace("[%h]", "%h") in ("-W%h:%p", "%h:%p")]
    if program.rpartition("/")[2] != "ssh" or len(forwards) != 1:
        raise ValueError("of ProxyCommand Cube knows `ssh -W %h:%p HOST` only; write -o ProxyJump=HOST")
    options, rest = _parse([word for word in words if word not in (*forwards, "-W")])
    if len(rest) != 1:
        raise ValueError("the ProxyCommand must name one host")
    last = parse_hop(rest[0])
    hop = Hop(
        address=last.address,
        port=last.port or options.port,
        user=last.user or options.user,
        identity_file=options.identity_file,
    )
    return (*(options.jumps or ()), hop)


def _host_and_port(place: str) -> tuple[str, str | None]:
    if place.startswith("["):
        host, bracket, port = place[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise ValueError("an IPv6 jump host is written [2001:db8::1]:22")
        return host, port[1:] if port else None
    if place.count(":") > 1:
        return place, None
    host, colon, port = place.partition(":")
    return host, port if colon else None
