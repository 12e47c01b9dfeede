"""What a person writes of a volume, and what is made of it."""

from typing import Annotated

from cube.model.job import Backup, Schedule, Volume
from cube.spec import grammar, mounts, schedule
from cube.spec.key import Switch, Written, key, needed, optional, scalar


class BackupSchema(Written):
    """When a volume is kept in an archive, while a task of a service or a system job runs with it."""

    cron: Annotated[str, scalar(schedule.cron)] = needed(
        "Five fields: minute, hour, day of month, month, day of week; as Debian's cron reads them.",
        example='"0 3 * * *"',
    )
    timezone: Annotated[str, scalar(schedule.timezone)] = key(
        "UTC", "The time zone of these fields.", example="Europe/Berlin"
    )
    to: Annotated[str, scalar(grammar.shelf)] | None = optional(
        "The folder, on the machine that Cube runs on, in place of `backups` where it runs; of another one: "
        "`sftp://user@host:port/path`.",
        example="/srv/backups",
    )
    keep: Annotated[int, scalar(grammar.whole(1, 10000))] | None = optional(
        "How many archives stay for each node; without it, all.", example="7"
    )


class VolumeSchema(Written):
    """Storage that outlives the task's container."""

    source: Annotated[str, scalar(mounts.source)] = needed(
        "The name of a volume of the node's engine, or an absolute path on the node.", example="data"
    )
    target: Annotated[str, scalar(mounts.target)] = needed("Where the container sees it.", example="/data")
    read_only: Switch = key("false", "The task cannot write to it.")
    external: Switch = key(
        "false", "Somebody else makes the volume: the task goes where it is, and waits while it is nowhere."
    )
    sticky: Switch = key(
        "true",
        "What the task writes there is to be found by the one after it, which therefore waits for its node. "
        "`false`: a cache, or a volume that is the same on every node.",
    )
    backup: BackupSchema | None = optional(
        "When what is in it is kept in an archive.", example='{cron: "0 3 * * *", keep: 7}'
    )


def volume_of(written: VolumeSchema) -> Volume:
    """The volume, without its backups: these are no matter of a task."""
    return Volume(
        source=written.source,
        target=written.target,
        read_only=written.read_only,
        external=written.external,
        sticky=written.sticky,
    )


def backup_of(written: BackupSchema) -> Backup:
    """When, where, and how many."""
    times = Schedule(cron=written.cron, timezone=written.timezone)
    return Backup(schedule=times, folder=written.to or "", keep=written.keep)
