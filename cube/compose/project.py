"""From the files of a Compose project to one document: interpolated, extended, merged."""

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cube.compose.loader import Loader, Read, Source, beside
from cube.compose.merge import TAGS
from cube.compose.tree import (
    Finding,
    StrangeError,
    entries_of,
    keyed,
    one_or_more,
    refusal,
    text_of,
)
from cube.document.reader import Document, Mark, Table, read


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a project needs of the world: its variables, its folder's name, and the files beside it.

    `profiles` are those that are asked for; `*` is all.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str = "compose"
    profiles: frozenset[str] = frozenset()
    read: Read = lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A whole project. `services` are those to run, `asleep` those whose profile nobody asked for.

    `folder` is where the first of its files lies, `folders` where the relative paths of a file begin.
    """

    name: str
    document: Table
    services: Mapping[str, tuple[Mark, Table]]
    asleep: frozenset[str]
    folder: str
    folders: Mapping[str, str]
    around: Surroundings
    told: tuple[Finding, ...] = ()

    def path_of(self, written: Document) -> str:
        """The path of a file that is named there."""
        return beside(written, self.folders)


def is_compose(text: str, source: str) -> bool:
    """The file is one of Compose's, and no job file. Raises InputError for what is not YAML."""
    document = read(text, source, tags=TAGS, collection_tags=TAGS)
    keys = {key.text for key, _ in document.entries} if isinstance(document, Table) else set()
    return bool({"services", "include"} & keys) and not {"job", "groups"} & keys


def project_of(sources: Sequence[Source], around: Surroundings) -> Project:
    """The project that the files describe, the later ones laid over the earlier.

    Raises InputError with every place where they cannot be understood.
    """
    folder = posixpath.dirname(sources[0].path)
    loader = Loader(sources, around.environment, around.read, folder)
    try:
        document = loader.document()
        services = {
            name: (key.mark, _service(value))
            for key, value in keyed(entries_of(document).get("services"))
            for name in [key.text]
        }
        name = _name(document, around)
        asleep = frozenset(
            name for name, (_, each) in services.items() if not _is_awake(each, around.profiles)
        )
    except StrangeError as error:
        raise refusal([error.finding]) from None
    return Project(
        name=name,
        document=document,
        services={name: found for name, found in services.items() if name not in asleep},
        asleep=asleep,
        folder=folder,
        folders=loader.folders,
        around=around,
        told=tuple(loader.told),
    )


def _service(value: Document) -> Table:
    if not isinstance(value, Table):
        raise StrangeError(value.mark, "write a table of keys and values here")
    return value


def _is_awake(service: Table, profiles: frozenset[str]) -> bool:
    wanted = {text_of(item) for item in one_or_more(entries_of(service).get("profiles"))}
    return not wanted or "*" in profiles or bool(wanted & profiles)


def _name(document: Table, around: Surroundings) -> str:
    """As it is written, or as the folder is called, with the signs that Compose leaves."""
    if written := entries_of(document).get("name"):
        return text_of(written)
    found = around.environment.get("COMPOSE_PROJECT_NAME") or around.folder
    return re.sub(r"[^a-z0-9_-]", "", found.lower()).lstrip("_-") or found
