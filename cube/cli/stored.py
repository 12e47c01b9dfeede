"""Behind `cube image ls`, `rm` and `prune`: what nodes have, and what of it goes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cube.cli import look, options, render
from cube.cli.reach import Place, at_work_by_hand
from cube.cli.settle import wait_of
from cube.errors import InputError
from cube.inventory.pattern import select
from cube.manager import images
from cube.manager.images import Removed
from cube.model import units
from cube.model.image import Image, full_name
from cube.model.observation import Observation, Seen
from cube.reconciler.prune import Leftover

COLUMNS = ("node", "image", "id", "size", "age", "containers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a prune leaves: the images of so many versions of each job, and so many bytes of the others."""

    keep: int
    budget: int
    only_plan: bool


def amount(text: str) -> int:
    """Bytes. Raises InputError."""
    try:
        return units.size(text)
    except ValueError as error:
        raise InputError(str(error), where="--budget") from None


def listed(place: Place, pattern: str, output: options.Output) -> int:
    """Print every image of those nodes; the exit code."""
    found = look.once(place, pattern)
    render.table(list(rows(found)), COLUMNS, output)
    _warn_of_untold(found)
    return look.warn_of_unknown(found)


def rows(found: Mapping[str, Observation]) -> Iterator[dict[str, Any]]:
    """One for each name of each image, by node; the images without a name last."""
    for name, seen in found.items():
        if isinstance(seen, Seen):
            used = Counter(container.image_id for container in seen.containers)
            for image in sorted(seen.images or (), key=lambda image: (not image.names, image.names)):
                yield from (_row(name, label, image, used[image.id]) for label in _labels(image))


def _labels(image: Image) -> Sequence[str]:
    return [label for label in image.names if "@" not in label] or image.names[:1] or ["-"]


def _row(node: str, label: str, image: Image, containers: int) -> dict[str, Any]:
    return {
        "node": node,
        "image": label,
        "id": image.id.removeprefix("sha256:")[:12],
        "size": render.size(image.size),
        "age": render.age(image.created_at),
        "containers": containers,
    }


def _warn_of_untold(found: Mapping[str, Observation]) -> None:
    untold = [name for name, seen in found.items() if isinstance(seen, Seen) and seen.images is None]
    render.warn(f"{name}: its engine did not tell in time which images it has" for name in untold)


def removed(place: Place, image: str, pattern: str, lock_wait: str, output: options.Output) -> int:
    """Remove the image from those nodes that have it; the exit code."""
    nodes, name = [node.name for node in select(place.cluster, pattern)], full_name(image)
    with at_work_by_hand(place, command=f"image rm {image}", wait=wait_of(lock_wait)) as (manager, workers):
        found = manager.look(nodes)
        have = [node for node, seen in found.items() if isinstance(seen, Seen) and _has(seen, name)]
        if not have and all(isinstance(seen, Seen) for seen in found.values()):
            raise InputError(f"no node of {pattern!r} has an image {name!r}", cure="See: cube image ls")
        done = _tell(images.remove(workers, {node: [name] for node in have}), output)
    return max(images.exit_code(done), look.warn_of_unknown(found))


def _has(seen: Seen, name: str) -> bool:
    return any(name in (*image.names, image.id) for image in seen.images or ())


def pruned(place: Place, pattern: str, limits: Limits, lock_wait: str, output: options.Output) -> int:
    """Remove what only old versions needed, or say what that is; the exit code."""
    nodes = [node.name for node in select(place.cluster, pattern)]
    with at_work_by_hand(place, command="image prune", wait=wait_of(lock_wait)) as (manager, workers):
        found = images.prunable(manager, nodes, keep=limits.keep, budget=limits.budget)
        unknown = 0 if len(found) == len(nodes) else 3
        if limits.only_plan:
            _tell_leftovers(found, output)
            return unknown
        wanted = {node: [each for left in lefts for each in left.references] for node, lefts in found.items()}
        done = _tell(images.remove(workers, {node: names for node, names in wanted.items() if names}), output)
    if not done and output is options.Output.TABLE:
        render.line("nothing is left over")
    return max(images.exit_code(done), unknown)


def _tell_leftovers(found: Mapping[str, Sequence[Leftover]], output: options.Output) -> None:
    table = [
        {**_row(node, ", ".join(left.references), left.image, 0), "size": render.size(left.image.size)}
        for node, lefts in found.items()
        for left in lefts
    ]
    render.table(table, COLUMNS, output)


def _tell(results: Iterable[Removed], output: options.Output) -> list[Removed]:
    """Print what came of each node as it ends, or all of it as JSON."""
    done = []
    for result in results:
        done.append(result)
        if output is options.Output.TABLE:
            for reference in result.references:
                render.line(f"  {result.node}: {reference} removed")
        if result.error is not None:
            render.warn(f"{result.node}: {line}" for line in str(result.error).splitlines())
    if output is options.Output.JSON:
        render.as_json([_as_data(result) for result in done])
    return done


def _as_data(result: Removed) -> dict[str, Any]:
    trouble = {} if result.error is None else {"error": str(result.error)}
    return {"node": result.node, "removed": list(result.references), **trouble}
