"""The edge: reads files, the environment and executable inventories, and hands their text down."""

import os
import signal
import stat
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from cube.cli.render import warn
from cube.errors import InputError
from cube.inventory.cluster import read_cluster
from cube.inventory.from_yaml import MAX_BYTES
from cube.inventory.inventory import Inventory
from cube.inventory.parse import Format, guess_format, parse, with_files
from cube.model.node import Cluster

SCRIPT_DEADLINE = 30.0
"""Seconds that an executable inventory may take."""

FOLDER = "inventories"
"""Where an inventory is looked for when none is named."""

_SUFFIXES = ("", ".yml", ".yaml", ".json")
_RUNNABLE = (b"#!", b"\x7fELF")


def find_inventory(option: Path | None, environ: Mapping[str, str], cwd: Path) -> Path:
    """The inventory that `-i` names, else $CUBE_INVENTORY, else the only one in ./inventories.

    Examples, hidden files and folders there do not count. Raises InputError where none is left, or several.
    """
    if option is not None:
        return option
    if named := environ.get("CUBE_INVENTORY"):
        return Path(named)
    folder = cwd / FOLDER
    found = [path for path in sorted(folder.iterdir()) if _may_be_inventory(path)] if folder.is_dir() else []
    if len(found) == 1:
        return found[0].relative_to(cwd)
    names = ", ".join(path.name for path in found)
    raise InputError(
        f"several inventories are in {FOLDER}/: {names}" if found else "no inventory was named",
        why="" if found else f"there is none in {folder}",
        cure="Name one with -i FILE or $CUBE_INVENTORY."
        if found
        else "Name one with -i FILE or $CUBE_INVENTORY, or make a lab: cube lab up",
    )


def load_cluster(path: Path) -> Cluster:
    """The cluster that the inventory at `path` describes; what is odd about it is said on standard error.

    Raises InputError, with the place and the cure, for everything that cannot be used.
    """
    folder = path.absolute().parent
    reading = read_cluster(
        load_inventory(path),
        name=_cluster_name(path.absolute()),
        folder=str(folder),
        locate=lambda key_file: str(folder / _expanded(key_file)),
    )
    warn(reading.warnings)
    return reading.cluster


def load_inventory(path: Path) -> Inventory:
    """The inventory at `path`, with what stands in group_vars/ and host_vars/ beside it.

    Raises InputError, with the place, where a file cannot be used.
    """
    content = read_bytes(path)
    if content.startswith(_RUNNABLE) and os.access(path, os.X_OK):
        inventory = parse(_output_of(path), f"{path} --list", Format.SCRIPT)
    else:
        text = _decoded(content, path)
        inventory = parse(text, str(path), guess_format(path.name, text))
    return with_files(
        inventory,
        _variable_files(path.parent / "group_vars", inventory.groups),
        _variable_files(path.parent / "host_vars", inventory.hosts),
    )


def read_text(path: Path) -> str:
    """The text of a file. Raises InputError where there is none to be had."""
    return _decoded(read_bytes(path), path)


def read_bytes(path: Path) -> bytes:
    """What is in a file, read once. Raises InputError where it is missing, too large or open to anybody."""
    try:
        # Without O_NONBLOCK a named pipe would keep us waiting for its writer.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            _check_file(os.fstat(file.fileno()), path)
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(
            "the file cannot be read", where=str(path), why=(error.strerror or str(error)).lower()
        ) from None


def _may_be_inventory(path: Path) -> bool:
    is_one = path.suffix in ("", ".yml", ".yaml", ".ini", ".json", ".sh", ".py")
    return is_one and path.is_file() and not path.name.startswith((".", "example"))


def _cluster_name(path: Path) -> str:
    """The file's name; that of its folder where every environment has a folder with a file `hosts`."""
    return path.parent.name if path.stem in ("hosts", "inventory") else path.stem


def _expanded(key_file: str) -> Path:
    try:
        return Path(key_file).expanduser()
    except RuntimeError:
        return Path(key_file)


def _check_file(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise InputError("this is not a file", where=str(path))
    if status.st_size > MAX_BYTES:
        raise InputError(f"the file is larger than {MAX_BYTES >> 20} MiB", where=str(path))
    if status.st_mode & stat.S_IWOTH:
        raise InputError(
            "anybody on this machine may write to the file", where=str(path), cure=f"Run: chmod o-w {path}"
        )


def _decoded(content: bytes, path: Path) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        where = f"{path}:{line}"
        raise InputError("the file is not UTF-8 text", where=where, cure="Save it as UTF-8.") from None


def _variable_files(folder: Path, names: Iterable[str]) -> Mapping[str, list[tuple[str, str]]]:
    """The files of a group_vars/ or host_vars/ folder, by the name that they are for, in order."""
    if not folder.is_dir():
        return {}
    present = {entry.name for entry in folder.iterdir()}
    return {
        name: [(str(file), read_text(file)) for file in _files_for(folder / (name + suffix))]
        for name in names
        if (suffix := next((end for end in _SUFFIXES if name + end in present), None)) is not None
    }


def _files_for(path: Path) -> Iterable[Path]:
    """The file itself; of a folder every file with a known ending in it, hidden and backup files left out."""
    if not path.is_dir():
        yield path
        return
    for entry in sorted(path.iterdir()):
        if entry.name.startswith(".") or entry.name.endswith("~"):
            continue
        if entry.suffix in _SUFFIXES and (entry.is_file() or not entry.suffix):
            yield from _files_for(entry)


def _output_of(path: Path) -> str:
    """What an executable inventory prints for `--list`."""
    try:
        process = subprocess.Popen(  # noqa: S603 - the inventory that the user named, and no shell
            [path.absolute(), "--list"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise InputError("the inventory cannot be run", where=str(path), why=str(error.strerror)) from None
    try:
        output, trouble = process.communicate(timeout=SCRIPT_DEADLINE)
    except subprocess.TimeoutExpired:
        raise InputError(
            f"the inventory did not end within {SCRIPT_DEADLINE:g} s", where=str(path), cure="Run it by hand."
        ) from None
    finally:
        # Its whole session: a grandchild would keep the pipes open, and us waiting.
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode != 0:
        last_words = trouble.decode(errors="replace").strip().splitlines()[-10:]
        raise InputError(
            f"the inventory ended with status {process.returncode}",
            where=str(path),
            why="\n  ".join(last_words),
        )
    return _decoded(output, path)
