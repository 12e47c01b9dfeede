"""What names, addresses, users and ports may look like. Raises ValueError with a text for a person.

What passes can be neither an option of a command, nor a path, nor hold anything that a shell would read.
"""

import difflib
import ipaddress
import re
from collections.abc import Iterable
from typing import Any

_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
_HOST = re.compile(
    r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*"
)
_ODD_NUMBER = re.compile(r"(.*\.)?([0-9]+|0[xX][0-9a-fA-F]*)")
_DEVICE = re.compile(r"/dev/[A-Za-z0-9_./:-]{1,120}|[A-Za-z0-9][A-Za-z0-9_.:/=-]{0,127}")
_REGISTRY = re.compile(rf"({_HOST.pattern}|\[[0-9a-fA-F:]+\])(:[0-9]{{1,5}})?")
_SECRET = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_ZONE = re.compile(r"[A-Za-z0-9_.-]{1,15}")
_HOST_KEY = re.compile(
    r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)|sk-ssh-ed25519@openssh\.com)"
    r" ([A-Za-z0-9+/]{43,1400}={0,2})(?: .*)?"
)


def name(text: str) -> str:
    """A node, cluster, datacenter or role."""
    if not _NAME.fullmatch(text):
        raise ValueError(
            "a name has 1 to 63 of a-z, 0-9, '.', '_' and '-', and begins and ends with a letter or a digit"
        )
    return text


def address(text: str) -> str:
    """A DNS name or an IP address, without a port."""
    if ":" in text:
        return _ip(text)
    if _ODD_NUMBER.fullmatch(text):
        return _ip(text)
    if len(text) > 253 or not _HOST.fullmatch(text):
        raise ValueError("an address is a DNS name or an IP address; the port stands apart")
    return text


def user(text: str) -> str:
    """A user on a node."""
    if not _USER.fullmatch(text):
        raise ValueError(
            "a user has up to 32 letters, digits, '.', '_' and '-', and begins with a letter or '_'"
        )
    return text


def port(value: Any) -> int:
    """A TCP port, given as a number or as text."""
    text = value if isinstance(value, str) else "" if isinstance(value, bool) else str(value)
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise ValueError("a port is a whole number from 1 to 65535")
    return int(text)


def path(text: str) -> str:
    """The path of a file on the operator's machine."""
    if not text or text.startswith("-") or not text.isprintable():
        raise ValueError("a path has no control characters and does not begin with '-'")
    return text


def device(text: str) -> str:
    """What a device is called on its node: a path below /dev, a CDI name, or the id of a GPU."""
    if not _DEVICE.fullmatch(text) or ".." in text:
        raise ValueError(
            "a device is a path such as /dev/ttyUSB0, a CDI name such as nvidia.com/gpu=0, or the id of a GPU"
        )
    return text


def registry(text: str) -> str:
    """A registry of images as their names begin: its host, with a port where they have one."""
    if not _REGISTRY.fullmatch(text):
        raise ValueError("a registry is written as images' names begin: docker.io, registry.example:5000")
    return text


def login(text: str) -> str:
    """A user of a registry."""
    if not text or len(text) > 255 or ":" in text or not text.isprintable():
        raise ValueError("a user has up to 255 printable characters, and no ':'")
    return text


def secret(text: str) -> str:
    """The name of a secret, as `cube secret` takes it."""
    if not _SECRET.fullmatch(text):
        raise ValueError(
            "a secret's name has up to 64 letters, digits, '_', '-' and '.', and begins with a letter"
        )
    return text


def host_key(text: str) -> str:
    """A public host key as `ssh-keyscan` prints it, its comment left out."""
    found = _HOST_KEY.fullmatch(text.strip())
    if not found:
        raise ValueError(
            "a host key is written 'ssh-ed25519 AAAA...', as `ssh-keyscan` prints it after the host"
        )
    return f"{found[1]} {found[2]}"


def nearest(word: str, known: Iterable[str]) -> str:
    """`Did you mean 'web'?`, or what there is."""
    names = list(known)
    if close := difflib.get_close_matches(word, names, n=3):
        return f"Did you mean {' or '.join(repr(each) for each in close)}?"
    more = ", ..." if len(names) > 10 else ""
    return f"There are {', '.join(names[:10])}{more}." if names else ""


def _ip(text: str) -> str:
    number, _, zone = text.partition("%")
    try:
        found = ipaddress.ip_address(number)
    except ValueError:
        raise ValueError(
            "this is no IP address; write 192.0.2.1 or 2001:db8::1, without brackets and without a port"
        ) from None
    if zone and not (_ZONE.fullmatch(zone) and found.version == 6):
        raise ValueError("only an IPv6 address has a zone, such as fe80::1%eth0")
    if found.is_unspecified or found.is_multicast:
        raise ValueError("this address is not that of one machine")
    return text
