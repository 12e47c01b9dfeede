"""Whom to connect to, as whom, through whom.

The inventory decides, then ssh_config, then Fabric's configuration, then SSH's own defaults.
"""

import getpass
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cube.connection.fabric_defaults import Defaults, read_defaults
from cube.connection.library import paramiko
from cube.errors import InputError
from cube.model.node import Access, Hop

_UNSAFE = re.compile(
    r"^\s*(?:match\s(?:.*\s)?!?exec[\s=].*|canonicalize\w+\b.*)$", re.IGNORECASE | re.MULTILINE
)
_INCLUDE = re.compile(r"^\s*include[\s=]+(.+)$", re.IGNORECASE | re.MULTILINE)
_MAX_INCLUDES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One host on the way, all decided. `identities` in order of preference; `host_key` None: known_hosts."""

    host: str
    port: int
    user: str
    identities: tuple[Path, ...] = ()
    host_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the operator has set up for SSH at large. `ssh` None: there is no ssh_config."""

    ssh: Any = None
    fabric: Defaults = field(default_factory=Defaults)


def load_config(file: Path | None, home: Path | None = None) -> Config:
    """An ssh_config, and the Fabric configuration in `home`; either may be missing.

    Commands in ssh_config are never executed and names never looked up: a `Match exec` block matches
    nothing, canonicalisation is passed over. Raises InputError for one that cannot be used.
    """
    return Config(ssh=_ssh_config(file), fabric=read_defaults(home))


def _ssh_config(file: Path | None) -> Any:
    if file is None or not file.exists():
        return None
    try:
        return paramiko.SSHConfig.from_text(_harmless(_with_includes(file, depth=0)))
    except (OSError, ValueError, paramiko.ssh_exception.ConfigParseError) as error:
        raise InputError("cannot use the SSH configuration", where=str(file), why=str(error)) from error


def route(access: Access, config: Config) -> tuple[Target, ...]:
    """The hosts to pass, the jump hosts first, the node last."""
    said = _look_up(config.ssh, access.address)
    hops = access.jumps or _jumps(said.get("proxyjump", ""))
    if not hops and said.get("proxycommand"):
        raise InputError(
            "ProxyCommand is not supported",
            where=access.address,
            cure="write ProxyJump in the SSH configuration",
        )
    node = _target(access.address, access, said, config.fabric)
    jumps = (_target(hop.address, hop, _look_up(config.ssh, hop.address), config.fabric) for hop in hops)
    return (*jumps, node)


def _target(address: str, declared: Access | Hop, said: Mapping[str, Any], fabric: Defaults) -> Target:
    named = [declared.identity_file] if declared.identity_file else said.get("identityfile")
    files = named or fabric.identities
    return Target(
        host=said.get("hostname", address),
        port=declared.port or int(said.get("port") or fabric.port or 22),
        user=declared.user or said.get("user") or fabric.user or getpass.getuser(),
        identities=tuple(Path(file).expanduser() for file in files),
        host_key=declared.host_key,
    )


def _look_up(config: Any, address: str) -> Mapping[str, Any]:
    if config is None:
        return {}
    said: Mapping[str, Any] = config.lookup(address)
    return said


def _jumps(text: str) -> tuple[Hop, ...]:
    """`user@host:port,host2` as hops; `none` and nothing are no hops."""
    if text.strip().lower() in ("", "none"):
        return ()
    return tuple(_hop(part.strip().removeprefix("ssh://")) for part in text.split(","))


def _hop(text: str) -> Hop:
    user, at, place = text.rpartition("@")
    found = re.fullmatch(r"\[([^\]]+)\](?::(\d+))?|([^:]+)(?::(\d+))?|([0-9a-fA-F:]+)", place)
    if found is None or (at and not user):
        raise InputError("cannot read a ProxyJump", why=repr(text), cure="write user@host:port")
    host = found[1] or found[3] or found[5]
    port = found[2] or found[4]
    return Hop(address=host, user=user or None, port=int(port) if port else None)


def _harmless(text: str) -> str:
    return _UNSAFE.sub(lambda line: "Match host !*" if line[0].lstrip()[:5].lower() == "match" else "", text)


def _with_includes(file: Path, *, depth: int) -> str:
    """The file's text, its Include lines replaced by what they name; relative names are beside the file."""
    if depth > _MAX_INCLUDES:
        raise ValueError("Include goes round in circles")

    def included(line: re.Match[str]) -> str:
        patterns = (Path(word.strip('"')).expanduser() for word in line[1].split())
        files = (found for pattern in patterns for found in _glob(file.parent / pattern))
        return "\n".join(_with_includes(found, depth=depth + 1) for found in files)

    return _INCLUDE.sub(included, file.read_text("utf-8", "replace"))


def _glob(pattern: Path) -> list[Path]:
    return sorted(
        found
        for found in Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))
        if found.is_file()
    )
