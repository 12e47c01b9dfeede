"""What a change takes for granted: the version of a job that whoever asks for it has seen."""

from dataclasses import dataclass

from cube.errors import ChangedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Precondition:
    """The job is known, and in one of these versions; None: in whichever it is."""

    versions: frozenset[int] | None = None

    def refuse_other(self, job: str, version: int | None) -> None:
        """Raises ChangedError for a job in another version; `version` None: it is not known."""
        if version is None:
            raise ChangedError(f"there is no job {job!r}", why="it was to be there already")
        if self.versions is not None and version not in self.versions:
            meant = ", ".join(map(str, sorted(self.versions))) or "none of its versions"
            cure = "Look at it again, and decide again."
            raise ChangedError(f"job {job} is in version {version}", why=f"{meant} was meant", cure=cure)
