"""What a person writes in a job file: the tables within a group."""

from typing import Annotated

from pydantic import BeforeValidator

from cube.spec import grammar, mounts
from cube.spec.key import (
    Arguments,
    Name,
    Switch,
    Written,
    key,
    needed,
    nested,
    optional,
    scalar,
)


class PortSchema(Written):
    """One port of the container, published on the node."""

    container: Annotated[int, scalar(grammar.whole(1, 65535))] = needed(
        "The port on which the process listens.", example="8080"
    )
    host: Annotated[grammar.HostPort, scalar(grammar.host_port)] = key(
        "auto",
        "The port on the node: a number, a range for Cube to choose in, or `auto` for 20000-29999.",
        example="20000-20999",
    )
    public: Switch = key("false", "Listen on every address of the node; else only on its loopback.")
    protocol: Annotated[str, scalar(grammar.word("tcp", "udp"))] = key("tcp", "`tcp` or `udp`.")


class BuildSchema(Written):
    """How `cube deploy` builds the group's image first, with the engine of its own machine."""

    context: Annotated[str, scalar(grammar.bounded(1024))] = needed(
        "The folder that is built from, as the job file's folder sees it.", example="."
    )
    dockerfile: Annotated[str, scalar(grammar.bounded(1024))] | None = optional(
        "The Dockerfile, as the context sees it, in place of `Dockerfile`.", example="deploy/Dockerfile"
    )
    target: Annotated[str, scalar(grammar.bounded(128))] | None = optional(
        "The stage that is built, in place of the last.", example="release"
    )
    args: dict[Annotated[str, scalar(grammar.variable)], Annotated[str, scalar(grammar.bounded(4096))]] = (
        nested(dict, "Arguments; not for secrets: the image shows them.", example='{GO: "1.22"}', limit=64)
    )


class HealthSchema(Written):
    """How a task shows that it works. Exactly one of `http`, `tcp`, `exec` and `image` is written."""

    http: Annotated[str, scalar(grammar.url_path)] | None = optional(
        "Healthy is a good answer to a GET of this path.", example="/health"
    )
    tcp: Switch | None = optional("Healthy is a port that accepts connections.", example="true")
    exec: Arguments | None = optional(
        "Healthy is a command in the container that ends with 0. A list: no shell reads it.",
        example='["pg_isready", "-q"]',
    )
    image: Switch | None = optional("Healthy is what the image's own HEALTHCHECK finds so.", example="true")
    port: Name | None = optional(
        "The name of the port that is asked; needed for `http` and `tcp`.", example="http"
    )
    status: Annotated[tuple[int, int], scalar(grammar.status)] = key(
        "200-399", "For `http`: the good statuses, one or a range.", example="200"
    )
    headers: dict[Annotated[str, scalar(grammar.header)], Annotated[str, scalar(grammar.header_value)]] = (
        nested(dict, "For `http`: what is sent along.", example="{Accept: text/plain}", limit=32)
    )
    body: Annotated[str, scalar(grammar.body)] | None = optional(
        "For `http`: what the first 64 KiB of a good answer contain.", example="ready"
    )
    interval: Annotated[float, scalar(grammar.duration("1s", "1h"))] = key(
        "10s", "How long it is from one check to the next at least."
    )
    timeout: Annotated[float, scalar(grammar.duration("100ms", "60s"))] = key(
        "2s", "How long to wait for the answer; not longer than `interval`, which it follows by itself."
    )
    failures: Annotated[int, scalar(grammar.whole(1, 100))] = key(
        "3", "How many failures in a row make a task unhealthy."
    )
    successes: Annotated[int, scalar(grammar.whole(1, 100))] = key(
        "1", "How many successes in a row make a task healthy."
    )
    grace: Annotated[float, scalar(grammar.duration("0s", "1h"))] = key(
        "30s", "How long after its start a task may still fail its checks."
    )


class RestartSchema(Written):
    """When a task that failed is tried again in the same place."""

    attempts: Annotated[int, scalar(grammar.whole(0, 1000))] = key("2", "How many restarts.")
    window: Annotated[float, scalar(grammar.duration("1s", "7d"))] = key(
        "30m", "A task that has run this long gets all of its attempts back."
    )
    delay: Annotated[float, scalar(grammar.duration("0s", "1h"))] = key(
        "5s", "How long to wait before the first restart; before each further one twice as long."
    )
    max_delay: Annotated[float, scalar(grammar.duration("0s", "1d"))] = key(
        "5m", "How long to wait at most; not shorter than `delay`."
    )
    mode: Annotated[str, scalar(grammar.word("fail", "delay"))] = key(
        "fail",
        "After the last attempt: `fail`: the task has failed, and is rescheduled where that is allowed. "
        "`delay`: it waits for a new window.",
    )


class RescheduleSchema(Written):
    """When a new task takes the place of one that has failed for good: elsewhere, if it can be."""

    attempts: Annotated[grammar.Attempts, scalar(grammar.attempts)] = key(
        "auto", "How many new tasks: a number, `unlimited`, or `auto`: 1 for a batch group, else `unlimited`."
    )
    window: Annotated[float, scalar(grammar.duration("1s", "30d"))] = key(
        "1h", "A task that has run this long gets all of its attempts back."
    )
    delay: Annotated[float, scalar(grammar.duration("0s", "1d"))] = key(
        "30s", "How long to wait before the first; before each further one twice as long."
    )
    max_delay: Annotated[float, scalar(grammar.duration("0s", "7d"))] = key(
        "1h", "How long to wait at most; not shorter than `delay`."
    )


class TmpfsSchema(Written):
    """A filesystem in memory."""

    size: Annotated[int, scalar(grammar.tmpfs_size)] = needed("How much it may hold.", example="64MiB")
    mode: Annotated[int, scalar(grammar.mode)] | None = optional(
        "Who may do what in it, in octal digits, where that is not everybody everything (`1777`).",
        example='"0750"',
    )


class UpdateSchema(Written):
    """How a new version takes the place of the old one."""

    max_parallel: Annotated[int, scalar(grammar.whole(1, 10000))] = key(
        "1", "How many tasks of the group are replaced at a time."
    )
    delay: Annotated[float, scalar(grammar.duration("0s", "1d"))] = key(
        "0s", "How long to wait once a new task counts, before the next one is replaced.", example="30s"
    )
    order: Annotated[str, scalar(grammar.word("auto", "start-first", "stop-first"))] = key(
        "auto",
        "What goes first, the new task's start or the old one's stop. `auto`: the start, unless both would "
        "clash over a fixed port or a volume that is written to, or there is no room for both.",
    )
    min_healthy_time: Annotated[float, scalar(grammar.duration("0s", "1h"))] = key(
        "2s", "How long a new task must have been healthy before it counts."
    )
    healthy_deadline: Annotated[float, scalar(grammar.duration("1s", "1d"))] = key(
        "5m", "A new task that is not healthy this long after its start fails the rollout."
    )
    progress_deadline: Annotated[float, scalar(grammar.duration("1s", "7d"))] = key(
        "10m", "A rollout that gains no healthy task for this long has failed."
    )
    canary: Annotated[int, scalar(grammar.whole(0, 10000))] = key(
        "0", "How many tasks are replaced before the rollout waits for `cube promote`; 0: it does not wait."
    )
    auto_revert: Switch = key("false", "A failed rollout brings back the last version that had succeeded.")


class QuarantineSchema(Written):
    """How long a sick task is kept for looking at, where `on_unhealthy` is `quarantine`."""

    keep: Annotated[float, scalar(grammar.duration("1s", "7d"))] = key(
        "1h", "Its container is removed after this long."
    )
    memory: Annotated[int, scalar(grammar.memory)] = key(
        "1GiB", "How much all that are kept of a group on one node may reserve; one too many is removed."
    )


class LoggingSchema(Written):
    """Where the engine keeps what a task prints."""

    driver: Annotated[str, scalar(grammar.log_driver)] = key(
        "json-file", "The engine's driver. `cube logs` reads what `json-file`, `local` and `journald` keep."
    )
    options: (
        dict[
            Annotated[str, scalar(grammar.bounded(128))],
            Annotated[str, scalar(grammar.bounded(1024))],
        ]
        | None
    ) = optional(
        "The driver's options; where none are written, `json-file` keeps three files of 10 MB.",
        example='{max-size: 10m, max-file: "3"}',
    )


class SecretSchema(Written):
    """How a task gets a secret: as a file, which is the default, or as a variable."""

    file: Annotated[str, scalar(mounts.target)] | None = optional(
        "Where its file is, which the task's user alone may read; `/run/secrets/NAME` by default.",
        example="/etc/app/key.pem",
    )
    env: Annotated[str, scalar(grammar.variable)] | None = optional(
        "The variable that holds it, in place of a file: the engine keeps it on the node's disk.",
        example="API_KEY",
    )


class StopSchema(Written):
    """How a task is ended."""

    signal: Annotated[str, scalar(grammar.signal)] = key("SIGTERM", "What the process is sent first.")
    grace: Annotated[float, scalar(grammar.duration("0s", "1h"))] = key(
        "10s", "How long it may take before it is killed."
    )
    drain: Annotated[float, scalar(grammar.duration("0s", "1h"))] = key(
        "5s", "How long it serves on before that, once no file from a template names it any more."
    )


class OnChangeSchema(Written):
    """How a running task is told that a file has changed. Exactly one is written."""

    restart: Switch | None = optional(
        "It is restarted; `on_change: restart` is the same, and `none` is `restart: false`.", example="true"
    )
    signal: Annotated[str, scalar(grammar.signal)] | None = optional(
        "The signal that its first process is sent.", example="SIGHUP"
    )
    exec: Arguments | None = optional(
        "A command that is run in its container, and ends with 0. A list: no shell reads it.",
        example='["nginx", "-s", "reload"]',
    )


def _on_change(value: object) -> object:
    words = {"restart": "true", "none": "false"}
    return {"restart": words[value]} if isinstance(value, str) and value in words else value


class TemplateSchema(Written):
    """A file that is made for each task, and made anew whenever it is to be another one."""

    source: Annotated[str, scalar(grammar.template)] | None = optional(
        "The template: a file below `templates/`.", example="proxy/haproxy.cfg.j2"
    )
    text: Annotated[str, scalar(grammar.bounded(65536))] | None = optional(
        "The file's own text, in place of a template: the same for every task.",
        example='"[app]\\ndebug = no\\n"',
    )
    on_change: Annotated[OnChangeSchema, BeforeValidator(_on_change)] = nested(
        lambda: OnChangeSchema.model_validate({"restart": "true"}),
        "What is done with the task when it is running: `restart`, `none`, a signal or a command.",
        example="{signal: SIGHUP}",
    )
    env: Switch = key(
        "false",
        "Its lines, `NAME=value`, are variables of the task, too. None changes while a process runs: on "
        "`restart` the container is made anew, on `none` they stay as they were.",
    )
