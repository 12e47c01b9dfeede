"""A look at tasks' files from templates: what is on the node, and what their processes were told of."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from cube.model.files import Delivered, mark_of
from cube.model.job import TaskSpec
from cube.model.observation import Container, ContainerState
from cube.worker.container import MEMORY, TOLD

MARK = len(mark_of(()))
"""Characters of a mark; what is shorter is the number of a try."""

Run = Callable[[str, bytes], bytes]
"""Runs a fixed script with that on its stdin; what it prints, nothing where it fails."""

# A line for each task: its id, when and of what it was told, and the hash of each file.
# `-`: there is none; `.`: it is empty; `?`: nobody may read it.
SCRIPT = f"""\
PATH=$PATH:/usr/sbin:/sbin
command -v sha256sum >/dev/null || exit 22
while read -r task count; do
  case "$task" in ""|*[!0-9a-f-]*) exit 21 ;; esac
  case "$count" in ""|*[!0-9]*) exit 21 ;; esac
  folder="{MEMORY}/$task"
  told=- at=0
  if [ -f "$folder/{TOLD}" ]; then
    at=$(stat -c %Y "$folder/{TOLD}") && told=$(cat "$folder/{TOLD}") || exit 23
  fi
  line="$task $at ${{told:-.}}"
  index=0
  while [ "$index" -lt "$count" ]; do
    hash=-
    if [ -e "$folder/$index.template" ]; then
      hash=$({{ sha256sum <"$folder/$index.template"; }} 2>/dev/null) || hash=?
    fi
    line="$line ${{hash%% *}}"
    index=$((index + 1))
  done
  echo "$line"
done
"""


def with_files(
    containers: Iterable[Container], specs: Mapping[str, TaskSpec], run: Run
) -> tuple[Container, ...]:
    """The containers, those that run and have templates with their files; without, where the node tells none.

    Asks nothing where no container has any. Raises ConnectionFailed where the node is lost.
    """
    found = tuple(containers)
    counts = dict(_counts(found, specs))
    if not counts:
        return found
    asked = "".join(f"{task} {count}\n" for task, count in counts.items())
    told = _parsed(run(SCRIPT, asked.encode()).decode("ascii", "replace"))
    return tuple(
        replace(each, files=told.get(each.identity.task)) if each.identity is not None else each
        for each in found
    )


def _counts(containers: Iterable[Container], specs: Mapping[str, TaskSpec]) -> Iterator[tuple[str, int]]:
    """How many files each task has, by its id."""
    for container in containers:
        spec = specs.get(container.id)
        is_running = container.state is ContainerState.RUNNING
        if is_running and spec is not None and spec.templates and container.identity is not None:
            yield container.identity.task, len(spec.templates)


def _parsed(text: str) -> Mapping[str, Delivered]:
    """What the script prints; a file that nobody may read leaves all of its task unknown."""
    lines = [line.split() for line in text.splitlines()]
    return {
        task: Delivered(
            hashes=tuple("" if each == "-" else each for each in hashes),
            told=None if told == "-" else told if _is_mark(told) else "",
            told_at=float(at),
            tries=int(told) if told.isdecimal() and not _is_mark(told) else 0,
        )
        for task, at, told, *hashes in lines
        if "?" not in hashes
    }


def try_number(number: int) -> str:
    """What is noted in place of a mark while a process is told for that time."""
    return str(number)


def _is_mark(told: str) -> bool:
    return len(told) == MARK
