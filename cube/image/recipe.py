"""What any engine tells of its images, and of what one is made of. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cube.errors import CubeError
from cube.model.image import PART_LABEL, PIN, Image

CONFIG = (
    "Cmd", "Entrypoint", "Env", "ExposedPorts", "Healthcheck", "Labels", "StopSignal", "User", "Volumes",
    "WorkingDir",
)  # fmt: skip
"""What of an image's own config a container of it shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """An image of an engine: its id, and what it is made of. `layers`: their digests, the lowest first.

    `created` is the engine's own word for when; `config` tells how a container of it is to run.
    """

    name: str
    id: str
    layers: tuple[str, ...]
    created: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)

    def is_same(self, other: "Recipe") -> bool:
        """The same bytes, and the same containers; an engine on containerd has another id for them."""
        is_like = self.layers == other.layers and self.created == other.created
        same_config = all((self.config.get(key) or None) == (other.config.get(key) or None) for key in CONFIG)
        return self.id == other.id or (is_like and same_config)


def images_of(items: Any) -> tuple[Image, ...]:
    """The answer to `GET /images/json`. Raises AttributeError, KeyError, TypeError or ValueError for none."""
    return tuple(_image_of(item) for item in listed(items))


def listed(items: Any) -> list[Any]:
    """The items of a listing. Raises TypeError: an empty object is no empty list."""
    if not isinstance(items, list):
        raise TypeError(f"not a list but {type(items).__name__}")
    return items


def _image_of(item: Mapping[str, Any]) -> Image:
    found = image_inspected(item)
    is_part = PART_LABEL in (item.get("Labels") or ()) and not found.names
    return replace(found, created_at=float(item["Created"]), is_part=is_part)


def image_inspected(answer: Mapping[str, Any]) -> Image:
    """What `GET /images/NAME/json` tells, too, of an image: all but its age. Raises as `images_of`."""
    written = tuple(
        str(name) for name in (*(answer.get("RepoTags") or ()), *(answer.get("RepoDigests") or ()))
    )
    return Image(
        id=answer["Id"],
        names=tuple(
            name for name in written if "<none>" not in name and not name.startswith((f"{PIN}:", f"{PIN}@"))
        ),
        size=int(answer["Size"]),
        created_at=0.0,
        pins=tuple(f"sha256:{name.partition(':')[2]}" for name in written if name.startswith(f"{PIN}:")),
    )


def recipe_of(name: str, answer: Any) -> Recipe:
    """What an engine answers to `GET /images/NAME/json`. Raises CubeError for what is none."""
    try:
        return Recipe(
            name=name,
            id=str(answer["Id"]),
            layers=tuple(map(str, answer["RootFS"].get("Layers") or ())),
            created=str(answer.get("Created") or ""),
            config=answer.get("Config") or {},
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CubeError("an image cannot be read", where=name, why=repr(error)) from error
