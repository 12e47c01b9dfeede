"""The project's encrypted file: secrets by name, in YAML, sealed with age to everybody who may open it."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pyrage
import yaml

from cube.errors import InputError
from cube.vault.keeping import write, write_once


def opened(file: Path, identity: Path) -> Mapping[str, str]:
    """What is in the file; nothing where there is none. Raises InputError where it cannot be opened."""
    try:
        sealed = file.read_bytes()
    except FileNotFoundError:
        return {}
    try:
        plain = pyrage.decrypt(sealed, [_identity(identity)])
    except pyrage.DecryptError:
        raise InputError(
            "the secrets cannot be opened",
            where=str(file),
            why=f"they are not sealed to the key in {identity}, or the file is damaged",
            cure="Let somebody who can open them add your key: cube secret rotate.",
        ) from None
    return table(plain.decode("utf-8", "replace"), str(file))


def table(text: str, source: str) -> Mapping[str, str]:
    """Names and values in YAML, each as it is written: `0123` is no number here, and `yes` no truth.

    Raises InputError with the place of the first mistake, and quotes nothing.
    """
    try:
        root = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        raise _slip(source, getattr(error, "problem_mark", None)) from None
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise _slip(source, root.start_mark)
    found: dict[str, str] = {}
    for name, value in root.value:
        is_pair = isinstance(name, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode)
        if not is_pair or name.value in found:
            raise _slip(source, name.start_mark)
        found[name.value] = value.value
    return found


def _slip(source: str, mark: yaml.Mark | None) -> InputError:
    where = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
    what = "this is no table of names, each once, and values"
    return InputError(what, where=where, cure="Put values in quotes: name: 'value'.")


def seal(values: Mapping[str, str], file: Path, recipients: Iterable[str]) -> None:
    """Put the values into the file for those recipients. Raises InputError for one that is none."""
    try:
        keys = [pyrage.x25519.Recipient.from_str(text) for text in recipients]
    except pyrage.RecipientError:
        raise InputError("this is no public key of age", where=str(file.with_suffix(".recipients"))) from None
    plain = yaml.safe_dump(dict(sorted(values.items())), allow_unicode=True, default_style='"')
    write(file, pyrage.encrypt(plain.encode(), keys, armored=True))


def own_recipient(identity: Path) -> str:
    """The public half of the key in that file, which is made where there is none. Raises InputError."""
    if not identity.exists():
        made = pyrage.x25519.Identity.generate()
        write_once(identity, f"# public key: {made.to_public()}\n{made}\n".encode())
    return str(_identity(identity).to_public())


def _identity(file: Path) -> pyrage.x25519.Identity:
    try:
        lines = file.read_text().splitlines()
        (line,) = (line.strip() for line in lines if line.startswith("AGE-SECRET-KEY-"))
        return pyrage.x25519.Identity.from_str(line)
    except (OSError, ValueError, pyrage.IdentityError) as error:
        why = getattr(error, "strerror", None) or "it holds no key of age, or several"
        cure = "Name another with $CUBE_AGE_KEY_FILE, or make one: cube secret set NAME"
        raise InputError("your key cannot be read", where=str(file), why=why, cure=cure) from None
