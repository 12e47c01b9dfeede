"""How many, where, with how much, and what becomes of those that fail."""

import re
from collections.abc import Iterator, Mapping

from cube.compose import devices, words
from cube.compose.process import labels, pids
from cube.compose.scene import Put, Say, Scene, Told, alone, in_words, lost, odd, put
from cube.compose.tree import StrangeError, entries_of, is_null, items_of, listing, made, text_of
from cube.document.check import shown
from cube.document.reader import Document, Mark

_CONSTRAINT = re.compile(r"\s*([A-Za-z0-9._-]+)\s*(==|!=)\s*(\S.*?)\s*")
_ATTRIBUTES = {"node.hostname": "node.name", "node.role": "node.role"}
_BOTH = "the whole limit is reserved, too, so that it is there when it is needed"
_ENDS_WELL = (
    "a service that ends with 0 is started again; where it is meant to end, say x-cube: {type: batch}"
)


def deploy(scene: Scene, document: Document) -> Iterator[Told]:
    """Each of its keys."""
    written = entries_of(document)
    for key, value in written.items():
        if key in _PARTS:
            yield from _PARTS[key](scene, value)
        elif not is_null(value):
            yield lost(value, f"Cube has nothing for {key}", f"deploy.{key}")


def count(document: Document) -> Iterator[Told]:
    """How many tasks."""
    yield put("count", document)


def _mode(document: Document) -> Iterator[Told]:
    mode = text_of(document)
    if mode not in ("replicated", "replicated-job", "global", "global-job"):
        raise StrangeError(document.mark, f"{shown(mode)} is no mode; write replicated or global")
    if mode == "global-job":
        yield lost(document, "Cube runs no batch job on each node", "deploy.mode")


def _resources(document: Document) -> Iterator[Told]:
    found = {
        f"{kind}.{key}": value
        for kind, each in entries_of(document).items()
        for key, value in entries_of(each).items()
    }
    for path, value in found.items():
        match path:
            case "limits.cpus":
                yield put("cpu_limit", in_words(value, words.cpus))
            case "reservations.cpus":
                yield put("cpu", in_words(value, words.cpus))
            case "limits.memory":
                yield put("memory", in_words(value, words.size))
            case "reservations.memory":
                yield from _reserved_memory(found.get("limits.memory"), value)
            case "limits.pids":
                yield from pids(value)
            case "reservations.devices":
                yield from devices.reserved(value)
            case _ if not is_null(value):
                yield lost(value, f"Cube has nothing for {path}", f"deploy.resources.{path}")


def _reserved_memory(limit: Document | None, reserved: Document) -> Iterator[Told]:
    """One number is both for Cube: the limit, where there is one."""
    amount = in_words(reserved, words.size)
    if limit is None:
        yield odd(reserved, "what is reserved is also the limit", "memory")
        yield put("memory", amount)
    elif in_words(limit, words.size).text != amount.text:
        yield odd(reserved, _BOTH, "memory")


def mem_limit(document: Document) -> Iterator[Told]:
    """What may be used, and is reserved."""
    yield put("memory", in_words(document, words.size))


def mem_reservation(scene: Scene, document: Document) -> Iterator[Told]:
    """See `mem_limit`, which goes before it."""
    yield from _reserved_memory(scene.at("mem_limit"), document)


def cpus(document: Document) -> Iterator[Told]:
    """A limit, as Docker has it."""
    if text_of(document).strip("0.") != "":
        yield put("cpu_limit", in_words(document, words.cpus))


def _placement(document: Document) -> Iterator[Told]:
    for key, value in entries_of(document).items():
        if key == "constraints":
            texts = [_constraint(item) for item in items_of(value)]
            kept = [text for text in texts if text]
            if kept:
                yield put("constraints", listing(kept, value.mark))
        elif key == "preferences":
            yield from _preferences(value)
        elif key == "max_replicas_per_node":
            if text_of(value) != "0":
                yield put("max_per_node", value)
        elif not is_null(value):
            yield lost(value, f"Cube has nothing for placement.{key}", f"deploy.placement.{key}")


def _constraint(item: Document) -> str:
    """Empty where every node of Cube's is so."""
    found = _CONSTRAINT.fullmatch(text_of(item))
    if found is None:
        raise StrangeError(
            item.mark, f"{shown(text_of(item))} is no constraint; write one such as node.labels.disk == ssd"
        )
    if (found[1], found[2], found[3]) == ("node.platform.os", "==", "linux"):
        return ""
    return f"{_attribute(found[1], item.mark)} {'=' if found[2] == '==' else '!='} {found[3]}"


def _attribute(text: str, mark: Mark) -> str:
    for prefix in ("node.labels.", "engine.labels."):
        if text.startswith(prefix):
            return f"label.{text.removeprefix(prefix)}"
    if text in _ATTRIBUTES:
        return _ATTRIBUTES[text]
    raise StrangeError(
        mark, f"Cube's nodes have no {shown(text)}; write node.hostname, node.role or node.labels.NAME"
    )


def _preferences(document: Document) -> Iterator[Told]:
    for item in items_of(document):
        for key, value in entries_of(item).items():
            if key != "spread":
                yield lost(value, f"Cube has no preference {shown(key)}", "deploy.placement.preferences")
            else:
                yield Put(("spread", _attribute(text_of(value), value.mark)), made("evenly", value.mark))


def _update(document: Document) -> Iterator[Told]:
    for key, value in entries_of(document).items():
        match key:
            case "parallelism":
                is_all = text_of(value) == "0"
                yield put("update.max_parallel", made("10000", value.mark) if is_all else value)
            case "monitor":
                yield put("update.min_healthy_time", in_words(value, words.duration))
            case "order":
                yield put("update.order", value)
            case "failure_action":
                yield from _on_failure(value)
            case "delay":
                if not _is_zero(value):
                    yield put("update.delay", in_words(value, words.duration))
            case "max_failure_ratio":
                if not _is_zero(value):
                    yield lost(value, _NO_RATIO, "deploy.update_config.max_failure_ratio")


_NO_RATIO = "with Cube, one new task that fails, fails the rollout"


def _is_zero(value: Document) -> bool:
    return text_of(value).strip("0.smh") == ""


def _on_failure(value: Document) -> Iterator[Told]:
    match text_of(value):
        case "rollback":
            yield put("update.auto_revert", made("true", value.mark))
        case "continue":
            yield lost(
                value, "a rollout whose task fails does not go on", "deploy.update_config.failure_action"
            )
        case "pause":
            return
        case text:
            raise StrangeError(
                value.mark, f"{shown(text)} is not known here; write pause, rollback or continue"
            )


def _rollback(scene: Scene, document: Document) -> Iterator[Told]:
    """Cube goes back as it goes forward."""
    forward = entries_of(scene.at("deploy", "update_config"))
    for key, value in entries_of(document).items():
        if key == "failure_action":
            if text_of(value) != "pause":
                yield odd(value, _NOT_BACK, "deploy.rollback_config")
        elif key in forward:
            if text_of(forward[key]) != text_of(value):
                yield odd(value, f"{_BACK}: by the {key} of update_config", "deploy.rollback_config")
        elif key not in ("delay", "max_failure_ratio") or not _is_zero(value):
            yield odd(value, f"{_BACK}, whatever {key} is here", "deploy.rollback_config")


_BACK = "Cube goes back as it goes forward"
_NOT_BACK = "a way back whose task fails does not go on"


def _restart_policy(scene: Scene, document: Document) -> Iterator[Told]:
    written = entries_of(document)
    if "delay" in written:
        yield put("restart.delay", in_words(written["delay"], words.duration))
    if "window" in written and _is_zero(written["window"]):
        yield odd(written["window"], _NO_WINDOW, "deploy.restart_policy.window")
        yield put("restart.window", made(_LONGEST, written["window"].mark))
    elif "window" in written:
        yield put("restart.window", in_words(written["window"], words.duration))
    yield from _condition(scene, written, document)


_LONGEST = "7d"
_NO_WINDOW = f"a task that has run for {_LONGEST} without a failure gets all of its attempts back"


def _condition(scene: Scene, written: Mapping[str, Document], document: Document) -> Iterator[Told]:
    condition = text_of(written.get("condition", made("any", document.mark)))
    if condition not in ("any", "on-failure", "none"):
        raise StrangeError(
            document.mark, f"{shown(condition)} is no condition; write any, on-failure or none"
        )
    if condition == "none":
        yield from _never(document)
    elif "max_attempts" in written:
        yield from _at_most(written["max_attempts"])
    if condition == "on-failure" and not scene.ends:
        yield odd(written["condition"], _ENDS_WELL, "restart")
    if condition == "any" and scene.ends:
        yield odd(document, "it ends, and once it has ended well it is not started again", "restart")


def restart(scene: Scene, document: Document) -> Iterator[Told]:
    """The short word for it, which `deploy.restart_policy` goes before."""
    word, _, most = text_of(document).partition(":")
    if scene.at("deploy", "restart_policy") is not None:
        return
    match word:
        case "no" | "false":
            yield from _never(document)
        case "on-failure":
            if most:
                yield from _at_most(made(most, document.mark))
            if not scene.ends:
                yield odd(document, _ENDS_WELL, "restart")
        case "always" | "unless-stopped":
            if scene.ends:
                yield odd(document, "it ends, and once it has ended well it is not started again", "restart")
        case _:
            raise StrangeError(
                document.mark,
                f"{shown(word)} is not known here; write no, always, on-failure or unless-stopped",
            )


def _never(document: Document) -> Iterator[Told]:
    yield from _at_most(made("0", document.mark))


def _at_most(attempts: Document) -> Iterator[Told]:
    """Here, and elsewhere not at all."""
    yield put("restart.attempts", attempts)
    yield put("reschedule.attempts", made("0", attempts.mark))


def _endpoint_mode(document: Document) -> Iterator[Told]:
    if text_of(document) != "dnsrr":
        yield lost(document, "Cube has no virtual addresses", "deploy.endpoint_mode")


def _deploy_labels(document: Document) -> Iterator[Told]:
    """Cube has labels of containers only."""
    yield odd(document, "they become labels of the containers", "deploy.labels")
    yield from labels(document)


_PARTS: Mapping[str, Say] = {
    "replicas": alone(count),
    "mode": alone(_mode),
    "resources": alone(_resources),
    "placement": alone(_placement),
    "update_config": alone(_update),
    "rollback_config": _rollback,
    "restart_policy": _restart_policy,
    "endpoint_mode": alone(_endpoint_mode),
    "labels": alone(_deploy_labels),
}
