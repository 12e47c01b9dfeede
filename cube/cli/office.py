"""From a command's options to the place where a manager works."""

import getpass
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from cube.cli.load import find_inventory, load_cluster
from cube.cli.options import MANAGER
from cube.errors import InputError
from cube.image.own import SOCKET
from cube.manager.office import Office
from cube.model.units import duration
from cube.scheduler.algorithms import DEFAULT_ALGORITHM, refuse_unknown
from cube.store.address import Server, StatePlace, place_of
from cube.vault.place import IDENTITY, VaultPlace
from cube.vault.vault import Vault

FOLDER = Path(".cube")
"""What Cube remembers of a project, beside its inventories and jobs."""


def office(inventory: Path | None, state: str | None, scheduler: str | None = None) -> Office:
    """Where the command works. Raises InputError for an inventory or an algorithm that cannot be used.

    Nodes are chosen by the algorithm that the command names, else the inventory's, else Cube's default.
    A command that goes through a manager, too, asks `reach.office`.
    """
    refuse_manager("it works where the state is")
    cluster = load_cluster(find_inventory(inventory, os.environ, Path.cwd()))
    scheduler = scheduler or cluster.scheduler or DEFAULT_ALGORITHM
    refuse_unknown(scheduler)
    return Office(
        cluster=cluster,
        state=named_state(state, os.environ) or FOLDER / f"{cluster.name}.db",
        keys=FOLDER.absolute(),
        scheduler=scheduler,
        engine=own_engine(os.environ),
        vault=vault(cluster.name, os.environ),
    )


def vault(cluster: str, environ: Mapping[str, str]) -> Vault:
    """The project's secrets for that cluster. Nothing is read before a secret is asked for."""
    place = vault_place(cluster, environ)
    return Vault(
        sources=place.sources,
        sealed=place.opened,
        environment=environ,
        folder=place.folder.parent,
        key=place.key,
        where=str(place.file(".yml")),
    )


def vault_place(cluster: str, environ: Mapping[str, str]) -> VaultPlace:
    """Where they are kept: in `secrets/`, for each cluster files of its own."""
    named = environ.get("CUBE_AGE_KEY_FILE")
    identity = Path(named) if named else Path(environ.get("HOME", "/")) / IDENTITY
    return VaultPlace(
        folder=Path("secrets").absolute(), cluster=cluster, identity=identity, keys=FOLDER.absolute()
    )


def manager_named() -> str:
    """The manager that commands go through, as --manager or the environment names it; empty: none."""
    return os.environ.get(MANAGER, "")


def refuse_manager(why: str) -> None:
    """Raises InputError where a manager is named, for a command that goes through none."""
    if named := manager_named():
        cure = "Run it there, without --manager and $CUBE_MANAGER."
        raise InputError("this command does not go through a manager", where=named, why=why, cure=cure)


def own_engine(environ: Mapping[str, str]) -> str:
    """The socket of this machine's engine: $CUBE_ENGINE, else $DOCKER_HOST where that is one, else Docker's.

    A DOCKER_HOST of another machine is left alone: that engine is not the operator's.
    """
    if named := environ.get("CUBE_ENGINE"):
        return named.removeprefix("unix://")
    host = environ.get("DOCKER_HOST", "")
    return host.removeprefix("unix://") if host.startswith("unix://") else SOCKET


def named_state(option: str | None, environ: Mapping[str, str]) -> StatePlace | None:
    """The state that `--state` names, else $CUBE_STATE; None where none is named.

    Raises InputError for a password on the command line: everybody on this machine may read it there.
    """
    place = place_of(option or environ.get("CUBE_STATE", ""))
    if option and isinstance(place, Server) and place.passwords:
        cure = "Put it into ~/.pgpass or $PGPASSWORD, or the whole URL into $CUBE_STATE."
        raise InputError("a password on the command line is seen by others", where="--state", cure=cure)
    return None if place == Path() else place


def seconds(text: str, option: str) -> float:
    """The duration that an option was given. Raises InputError."""
    try:
        return duration(text)
    except ValueError as error:
        raise InputError(str(error), where=option) from None


def actor() -> str:
    """Who asks: user@host, as events tell it."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def pairs(words: Sequence[str], option: str, form: str = "NAME=VALUE") -> dict[str, str]:
    """`NAME=VALUE` words as a table. Raises InputError for a word that is not of that form."""
    table = dict(word.partition("=")[::2] for word in words if "=" in word)
    if strange := [word for word in words if "=" not in word or word.startswith("=")]:
        raise InputError(f"{strange[0]!r} is not {form}", where=option)
    return table
