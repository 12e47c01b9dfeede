"""All that one node lacks of an image, as it crosses the wire: one parcel behind the other."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from cube.image.pack import Parcel


@dataclass(frozen=True, slots=True, kw_only=True)
class Freight:
    """The parcels, in the order in which they are loaded."""

    parcels: tuple[Parcel, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the pieces: who lacks fewer layers lacks the last of them."""
        return tuple(name for parcel in self.parcels for name in parcel.names)

    @property
    def size(self) -> int:
        """Bytes on the wire."""
        return sum(parcel.size for parcel in self.parcels)

    def pieces(self) -> Iterator[bytes]:
        """All of it, a piece at a time."""
        for parcel in self.parcels:
            yield from parcel.pieces()

    def digest(self) -> str:
        """The SHA-256 of all its bytes, in hex."""
        digest = hashlib.sha256()
        for piece in self.pieces():
            digest.update(piece)
        return digest.hexdigest()
