"""The files of a project's secrets: sources, sealed values, who may open them, and the fingerprints' key."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cube.errors import InputError
from cube.vault.keeping import alone, write_once
from cube.vault.source import Source

IDENTITY = Path(".config/cube/age.key")
"""Where a person's own key is, below the home folder, where $CUBE_AGE_KEY_FILE names no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultPlace:
    """Of one cluster: `CLUSTER.yml`, `CLUSTER.age` and `CLUSTER.recipients` in `folder`.

    `identity` is the file with one's own key of age, `keys` the folder of what Cube alone is to know.
    """

    folder: Path
    cluster: str
    identity: Path
    keys: Path

    def file(self, suffix: str) -> Path:
        """The cluster's file with that ending."""
        return self.folder / f"{self.cluster}{suffix}"

    def sources(self) -> Mapping[str, Source]:
        """Where secrets come from that are not in the sealed file. Raises InputError with the place."""
        from cube.vault.sources import sources  # noqa: PLC0415 - pydantic takes a while

        file = self.file(".yml")
        if not file.exists():
            return {}
        try:
            return sources(file.read_text(), str(file))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError("the file cannot be read", where=str(file), why=str(error)) from None

    def opened(self) -> Mapping[str, str]:
        """The sealed values. Raises InputError where they cannot be opened."""
        from cube.vault.sealed import opened  # noqa: PLC0415 - who has no sealed file needs no age

        return opened(self.file(".age"), self.identity)

    def recipients(self) -> tuple[str, ...]:
        """Who may open them, by their public keys. One's own is put there where nobody's is."""
        from cube.vault.sealed import own_recipient  # noqa: PLC0415 - as in opened()

        file = self.file(".recipients")
        if not file.exists():
            write_once(file, f"{own_recipient(self.identity)}\n".encode())
        lines = (line.partition("#")[0].strip() for line in file.read_text().splitlines())
        return tuple(line for line in lines if line)

    def seal(self, values: Mapping[str, str]) -> None:
        """Keep these values in place of all others. Raises InputError, or CubeError for a full disk."""
        from cube.vault.sealed import seal  # noqa: PLC0415 - as in opened()

        seal(values, self.file(".age"), self.recipients())

    @contextmanager
    def changing(self) -> Iterator[dict[str, str]]:
        """The sealed values, which the block changes; they are sealed at its end. One at a time may.

        Raises as `opened` and `seal`.
        """
        with alone(self.keys / f"{self.cluster}.secrets.lock"):
            values = dict(self.opened())
            yield values
            self.seal(values)

    def key(self) -> bytes:
        """What fingerprints are made with: made once, and never on a node or in the state."""
        file = self.keys / "secrets.key"
        try:
            return file.read_bytes()
        except FileNotFoundError:
            write_once(file, secrets.token_bytes(32))
            return file.read_bytes()
