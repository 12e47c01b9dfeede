"""What a task says, without the secrets that it was given: masked before anybody keeps it."""

from collections.abc import Callable, Iterable
from functools import partial

from cube.errors import CubeError
from cube.model.job import SecretUse
from cube.model.labels import spec_of
from cube.model.secret import Secret
from cube.worker.belongings import Porter
from cube.worker.container import Json

Hide = Callable[[str], str]

MASK = "***"

LEAST = 4
"""Characters of what is masked: fewer stand in many a word."""

NOT_KEPT = "(not kept: it may hold a secret, which cannot be had now and so not be masked)"


def masked(text: str, secrets: Iterable[Secret]) -> str:
    """The text with `***` in place of each line of those values: what says one of several writes it so."""
    values = (secret.reveal().decode("utf-8", "replace") for secret in secrets)
    lines = {line.strip() for value in values for line in value.splitlines()}
    for line in sorted(lines, key=len, reverse=True):
        if len(line) >= LEAST:
            text = text.replace(line, MASK)
    return text


def hiding(found: Json, porter: Porter) -> Hide:
    """What masks the secrets of an inspected container, in anything that is said of it."""
    try:
        return partial(masked, secrets=porter.values(_uses(found)))
    except CubeError:
        return lambda text: NOT_KEPT if text else text


def _uses(found: Json) -> tuple[SecretUse, ...]:
    """None where its labels are not Cube's."""
    try:
        return spec_of(found["Config"]["Labels"]).secrets
    except (KeyError, TypeError, ValueError):
        return ()
