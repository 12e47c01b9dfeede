"""Managers by name: where each is, and what to show it."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cube.errors import InputError
from cube.remote.link import Link

FILE = Path("cube", "contexts.json")
"""Under the user's folder of configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contexts:
    """What the file of contexts holds, by name."""

    path: Path
    known: Mapping[str, Mapping[str, str]]

    def link(self, name: str, environ: Mapping[str, str]) -> Link:
        """The link to the manager of that name, with its own token, else $CUBE_TOKEN.

        Raises InputError for one that is not known, and for a token that is none.
        """
        found = self.known.get(name)
        if found is None:
            cure = f"Known: {', '.join(self.known) or 'none'}. Add it: cube context add {name} URL"
            raise InputError(f"there is no context {name!r}", where=str(self.path), cure=cure)
        authority = Path(found["authority"]) if found.get("authority") else None
        own = checked_token(found.get("token", ""), f"context {name}")
        return Link(url=found["url"], token=own or _token_in(environ), authority=authority)

    def save(self) -> None:
        """Write the file, for its owner alone: it holds tokens. Raises InputError where that cannot be."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self.path.with_suffix(".new")
            temporary.unlink(missing_ok=True)
            with os.fdopen(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
                file.write(json.dumps(self.known, indent=2) + "\n")
            temporary.replace(self.path)
        except OSError as error:
            why = error.strerror or str(error)
            raise InputError("the contexts cannot be written", where=str(self.path), why=why) from None


def load(environ: Mapping[str, str]) -> Contexts:
    """The contexts of this user. Raises InputError for a file that cannot be used."""
    path = Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / FILE
    try:
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        contexts = {str(name): {str(k): str(v) for k, v in found.items()} for name, found in known.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise InputError("the contexts cannot be read", where=str(path), why=str(error)) from None
    return Contexts(path=path, known=contexts)


def link_of(named: str, environ: Mapping[str, str]) -> Link:
    """The link to the manager at that address, which is shown $CUBE_TOKEN, or of that name.

    Raises InputError as `Contexts.link`.
    """
    if "://" not in named:
        return load(environ).link(named, environ)
    authority = environ.get("CUBE_AUTHORITY")
    return Link(
        url=named.rstrip("/"),
        token=_token_in(environ),
        authority=Path(authority) if authority else None,
    )


def checked_token(text: str, where: str) -> str:
    """The token without what stands around it. Raises InputError, which does not quote it."""
    token = text.strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        cure = "A token is one word: cube token create prints it."
        raise InputError("this is no token", where=where, cure=cure)
    return token


def _token_in(environ: Mapping[str, str]) -> str:
    return checked_token(environ.get("CUBE_TOKEN", ""), "$CUBE_TOKEN")
