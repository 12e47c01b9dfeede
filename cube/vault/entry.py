"""What may be sealed: a name and a text."""

from cube.errors import InputError
from cube.spec import grammar
from cube.vault.vault import usable


def checked_name(name: str) -> str:
    """The name, where a secret may have it. Raises InputError."""
    try:
        return grammar.secret(name)
    except ValueError as error:
        raise InputError(str(error)) from None


def checked_value(name: str, value: bytes) -> str:
    """The value as the text that is sealed. Raises InputError, which quotes nothing of it."""
    try:
        return usable(name, value, "").decode()
    except UnicodeDecodeError:
        cure = "Keep it in a file, and name that in secrets/CLUSTER.yml; or encode it, as base64 does."
        raise InputError(f"the secret {name!r} cannot be sealed", why="it is no text", cure=cure) from None
