"""The options that many commands share, each written once."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

MANAGER = "CUBE_MANAGER"
"""The variable that names the manager that commands go through."""

JobName = Annotated[str, typer.Argument(metavar="JOB", help="The job's name.")]


class Output(StrEnum):
    """How an answer is printed."""

    TABLE = "table"
    JSON = "json"


Inventory = Annotated[
    Path | None,
    typer.Option("--inventory", "-i", help="The environment: an inventory file (or $CUBE_INVENTORY)."),
]
State = Annotated[
    str | None,
    typer.Option(
        "--state",
        help="The state: a file, `postgresql://...`, or `:memory:`, which forgets (or $CUBE_STATE)."
        " Default: .cube/CLUSTER.db",
    ),
]
Format = Annotated[Output, typer.Option("--output", "-o", help="How to print: a table, or JSON.")]
Timeout = Annotated[
    str, typer.Option("--timeout", help="Give up waiting after this long, such as 90s or 5m.")
]
LockWait = Annotated[
    str, typer.Option("--lock-wait", help="How long to wait for another Cube that holds the lock.")
]
Algorithm = Annotated[
    str | None,
    typer.Option(
        "--scheduler", help="Who chooses nodes: tight, spread...; by default as the inventory says."
    ),
]
Variables = Annotated[
    list[str] | None,
    typer.Option("--var", metavar="NAME=VALUE", help="A variable for the job file; repeatable."),
]
Profiles = Annotated[
    list[str] | None,
    typer.Option("--profile", help="Of Compose files: run this profile's services, too; repeatable."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
