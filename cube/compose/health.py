"""Health checks, and who waits for whom."""

from collections.abc import Iterator, Mapping

from cube.compose import words
from cube.compose.scene import Put, Scene, Told, in_words, odd, put
from cube.compose.tree import StrangeError, entries_of, items_of, listing, made, switch_of, table, text_of
from cube.document.check import shown
from cube.document.reader import Document, Listing, Scalar

DEFAULTS: Mapping[str, str] = {"interval": "30s", "timeout": "30s", "start_period": "0s"}
"""Docker's own."""


def healthcheck(document: Document) -> Iterator[Told]:
    """A command in the container, or the image's own check."""
    written = entries_of(document)
    if "disable" in written and switch_of(written["disable"]):
        return
    test = written.get("test")
    if test is None:
        yield put("health.image", made("true", document.mark))
    elif (argv := _argv(test)) is None:
        return
    else:
        yield put("health.exec", listing(argv, test.mark))
    if "retries" in written:
        yield put("health.failures", written["retries"])
    yield from _times(written, document)


def _argv(test: Document) -> list[str] | None:
    """The command; None: it is not to be checked."""
    if isinstance(test, Scalar):
        return ["/bin/sh", "-c", test.text]
    how, *rest = [text_of(item) for item in items_of(test)] or [""]
    if how == "NONE":
        return None
    if how == "CMD-SHELL" and len(rest) == 1:
        return ["/bin/sh", "-c", rest[0]]
    if how == "CMD" and rest:
        return rest
    raise StrangeError(test.mark, "a test begins with CMD, CMD-SHELL or NONE")


def _times(written: Mapping[str, Document], document: Document) -> Iterator[Told]:
    def of(key: str) -> Document:
        return written.get(key) or made(DEFAULTS[key], document.mark)

    interval, timeout = (_milliseconds(of(key)) for key in ("interval", "timeout"))
    if "timeout" in written and timeout > interval:
        yield odd(
            written["timeout"],
            f"it is asked every {words.of_milliseconds(timeout)}, as long as an answer may take",
        )
    bound = max(interval, timeout if "timeout" in written else 0)
    yield put("health.interval", made(words.of_milliseconds(bound), of("interval").mark))
    yield put("health.timeout", made(words.of_milliseconds(min(timeout, bound)), of("timeout").mark))
    yield put("health.grace", in_words(of("start_period"), words.duration))
    if "start_interval" in written:
        yield odd(written["start_interval"], "Cube asks in one interval, also after the start", "healthcheck")


def _milliseconds(document: Document) -> int:
    try:
        return words.nanoseconds(text_of(document)) // 10**6
    except ValueError as error:
        raise StrangeError(document.mark, str(error)) from None


def depends_on(scene: Scene, document: Document) -> Iterator[Told]:
    """What has started is, for Cube, what is healthy; or what has ended well, where that is what it does."""
    shown_ = {text_of(item): item for item in items_of(document)} if isinstance(document, Listing) else {}
    wanted = {name: table({"condition": STARTED}, item.mark) for name, item in shown_.items()}
    for name, value in (wanted or entries_of(document)).items():
        yield from _waits(scene, name, value)


def _waits(scene: Scene, name: str, value: Document) -> Iterator[Told]:
    written = entries_of(value)
    condition = text_of(written.get("condition", made(STARTED, value.mark)))
    if condition not in CONDITIONS:
        raise StrangeError(value.mark, f"{shown(condition)} is not known here; write {', '.join(CONDITIONS)}")
    if name not in scene.project.services:
        if "required" not in written or switch_of(written["required"]):
            why = "its profile is not asked for" if name in scene.project.asleep else "there is none"
            raise StrangeError(value.mark, f"the service {shown(name)} is waited for, and {why}")
        return
    if "required" in written and not switch_of(written["required"]):
        yield odd(written["required"], f"the service {shown(name)} is waited for all the same", "depends_on")
    if "restart" in written and switch_of(written["restart"]):
        yield odd(written["restart"], "Cube does not restart a service because another one was", "depends_on")
    if condition != COMPLETED and name in scene.ending:
        yield odd(value, f"the service {shown(name)} ends by itself: its end is waited for", "depends_on")
    has_check = "healthcheck" in entries_of(scene.project.services[name][1])
    if condition == STARTED and has_check and name not in scene.ending:
        yield odd(value, f"the service {shown(name)} is waited for until it is healthy", "depends_on")
    state = "completed" if name in scene.ending else "healthy"
    yield Put(("depends_on", scene.groups[name]), made(state, value.mark))


STARTED = "service_started"
COMPLETED = "service_completed_successfully"
CONDITIONS = (STARTED, "service_healthy", COMPLETED)
