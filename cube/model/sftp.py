"""A folder of another machine that is reached over SFTP, as people name it: sftp://user@host:port/path."""

import re
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote, urlsplit

from cube.errors import InputError

SCHEME = "sftp://"

_HOST = re.compile(r"[A-Za-z0-9._:%-]{1,253}")
_PATH = re.compile(r"/[^\x00-\x1f\x7f]{0,1023}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SftpPlace:
    """What is None is left to ssh_config, then to SSH's own defaults.

    `path` is absolute, as the host shows it, or relative to the folder where the user begins.
    """

    host: str
    path: str
    user: str | None = None
    port: int | None = None

    def __truediv__(self, name: str) -> "SftpPlace":
        """What lies there under that name."""
        return replace(self, path=f"{self.path.rstrip('/')}/{name}")

    def __str__(self) -> str:
        user = f"{quote(self.user, safe='')}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port else ""
        below = self.path if self.path.startswith("/") else f"/~/{self.path}"
        return f"{SCHEME}{user}{host}{port}{quote(below, safe='/~@=+,:')}"


def sftp_place(text: str) -> SftpPlace:
    """The place of that URL. Raises InputError, which never repeats a password."""
    try:
        found = urlsplit(text)
        port = found.port
    except ValueError as error:
        raise _no_place(f"{error}") from error
    if found.password is not None:
        why = "a password in it would be read in job files, argument lists and events"
        cure = "Have the host know a key of yours: from the agent, ~/.ssh/config, or ~/.ssh/id_ed25519."
        raise InputError("an sftp:// URL has no password", why=why, cure=cure)
    host, path = found.hostname or "", unquote(found.path)
    if found.query or found.fragment or not _HOST.fullmatch(host) or not _PATH.fullmatch(path):
        raise _no_place("")
    path = (path[3:] or ".") if path.startswith("/~/") else path
    return SftpPlace(host=host, path=path, user=unquote(found.username or "") or None, port=port)


def _no_place(why: str) -> InputError:
    return InputError("this is no place over SFTP", why=why, cure=f"Write {SCHEME}user@host:port/path.")
