"""Loans: images of callers' own engines, which a manager has as if they were its own while somebody asks."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from cube.errors import CubeError
from cube.image.recipe import Recipe
from cube.image.shelf import Readable, Source

Stock = Callable[[], Mapping[str, str]]
"""The ids of images by full name, as in World."""


class LentError(CubeError):
    """Two callers mean two images by one name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loan:
    """What one caller lends: the ids of images by full name, as in World, and who has their bytes."""

    images: Mapping[str, str]
    source: Source


class Loans:
    """What is lent now. Any number of threads may ask."""

    def __init__(self) -> None:
        self._alone = threading.Lock()
        self._all: tuple[Loan, ...] = ()

    @contextmanager
    def lent(self, loan: Loan) -> Iterator[None]:
        """It is, while the block runs. Raises LentError where another image is lent by such a name."""
        with self._alone:
            _refuse_another(self.stock(dict), loan)
            self._all = (*self._all, loan)
        try:
            yield
        finally:
            with self._alone:
                self._all = tuple(each for each in self._all if each is not loan)

    def stock(self, own: Stock) -> Mapping[str, str]:
        """What the own engine has, and what is lent: of one name that is what the caller means."""
        lent = {name: image for loan in self._all for name, image in loan.images.items()}
        return {**own(), **lent}

    def source_of(self, name: str, own: Source) -> Source:
        """Who has the bytes of that image."""
        return next((loan.source for loan in self._all if name in loan.images), own)


class Lent:
    """A source of what is lent, and of what the own engine has."""

    def __init__(self, loans: Loans, own: Source) -> None:
        self._loans = loans
        self._own = own

    def needed(self, name: str) -> Recipe:
        """As Source."""
        return self._loans.source_of(name, self._own).needed(name)

    def saved(self, name: str) -> AbstractContextManager[Readable]:
        """As Source."""
        return self._loans.source_of(name, self._own).saved(name)


def _refuse_another(lent: Mapping[str, str], loan: Loan) -> None:
    for name, image in loan.images.items():
        if lent.get(name, image) != image:
            raise LentError(
                f"another command deploys another image as {name} just now",
                cure="Wait until it has ended, or give your image a tag of its own.",
            )
