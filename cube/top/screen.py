"""The screen: one table at a time, and over it a log, a history or a question."""

import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen, Screen
from textual.widgets import DataTable, Footer, Input, Label, RichLog, Static

from cube.errors import CubeError
from cube.manager.tasks import LogLine
from cube.model.task import Task, TaskEvent
from cube.top.source import Source
from cube.top.tables import COLUMNS, of_event, rows, summary
from cube.view.fleet import ClusterView

STYLES = {
    "Running": "green", "healthy": "green", "ready": "green", "succeeded": "green",
    "Failed": "bold red", "unhealthy": "bold red", "failed": "bold red", "unknown": "bold red",
    "Pending": "yellow", "Scheduled": "yellow", "starting": "yellow", "cordoned": "yellow",
    "draining": "yellow", "paused": "yellow", "Completed": "dim",
}  # fmt: skip


class Top(App[None]):
    """Looks at the fleet again and again, every so many seconds, until somebody ends it."""

    TITLE = "cube top"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #summary { height: 1; padding: 0 1; background: $panel; text-style: bold; }
    #said { height: auto; padding: 0 1; color: $text-muted; }
    #filter { display: none; height: 3; }
    #filter.asked { display: block; }
    DataTable { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "show('nodes')", "nodes"),
        Binding("2", "show('jobs')", "jobs"),
        Binding("3", "show('tasks')", "tasks"),
        Binding("4", "show('events')", "events"),
        Binding("slash", "filter", "filter"),
        Binding("l", "logs", "logs"),
        Binding("d", "describe", "history"),
        Binding("c", "cordon", "cordon"),
        Binding("u", "uncordon", "uncordon"),
        Binding("D", "drain", "drain"),
        Binding("j", "move(1)", show=False),
        Binding("k", "move(-1)", show=False),
        Binding("escape", "drop_filter", "all", show=False),
        Binding("q", "quit", "quit"),
    ]

    def __init__(self, source: Source, every: float) -> None:
        super().__init__()
        self._source = source
        self._every = every
        self._look: ClusterView | None = None
        self._view = "nodes"
        self._query = ""
        self._said = self._missed = ""

    def compose(self) -> ComposeResult:
        """As textual asks."""
        yield Static("looking ...", id="summary")
        yield DataTable[Text](cursor_type="row", zebra_stripes=True, id="table")
        yield Static("", id="said")
        yield Input(placeholder="words; Enter keeps them, Escape drops them", id="filter")
        yield Footer()

    def on_mount(self) -> None:
        """Begin."""
        self.action_show("nodes")
        self.table.focus()
        self._look_again()

    @property
    def table(self) -> DataTable[Text]:
        """The one table."""
        return self.query_one("#table", DataTable)

    @work(thread=True, group="look")
    def _look_again(self) -> None:
        """A look that fails is told, and tried again: the fleet is there all the same."""
        try:
            self.call_from_thread(self._take, self._source.look())
        except CubeError as error:
            self.call_from_thread(self._miss, str(error))
        self.call_from_thread(self.set_timer, self._every, self._look_again)

    def _take(self, look: ClusterView) -> None:
        self._look = look
        if self._said == self._missed:
            self._say("")
        self.query_one("#summary", Static).update(Text(summary(look)))
        self._draw()

    def _miss(self, why: str) -> None:
        """It is told until a look succeeds: what is shown meanwhile is of before."""
        self._missed = why
        self._say(why)

    def _draw(self) -> None:
        """What is shown now, with the cursor on what it was on."""
        if self._look is None:
            return
        table, key = self.table, self.key_here
        found = rows(self._look, self._view, self._query)
        table.clear()
        for row in found:
            table.add_row(*map(_cell, row.cells), key=row.key)
        keys = [row.key for row in found]
        if key in keys:
            table.move_cursor(row=keys.index(key), scroll=False)

    def _say(self, text: str) -> None:
        self._said = text
        self.query_one("#said", Static).update(Text(text))

    @property
    def key_here(self) -> str | None:
        """What the cursor is on."""
        table = self.table
        if not table.row_count:
            return None
        return table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value

    @property
    def task_here(self) -> Task | None:
        """The task that the cursor is on."""
        tasks = self._look.tasks if self._look and self._view == "tasks" else ()
        return next((task for task in tasks if task.id == self.key_here), None)

    @property
    def node_here(self) -> str | None:
        """The node that the cursor is on, or on a task of which it is."""
        task = self.task_here
        return self.key_here if self._view == "nodes" else task.node if task else None

    def action_show(self, view: str) -> None:
        """Another table."""
        self._view = view
        self.table.clear(columns=True)
        self.table.add_columns(*COLUMNS[view])
        self._draw()

    def action_move(self, by: int) -> None:
        """As in vi."""
        self.table.move_cursor(row=self.table.cursor_row + by)

    def action_filter(self) -> None:
        """Ask for words."""
        field = self.query_one("#filter", Input)
        field.add_class("asked")
        field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter as it is typed."""
        self._query = event.value
        self._draw()

    def on_input_submitted(self) -> None:
        """Keep the words."""
        self.query_one("#filter", Input).remove_class("asked")
        self.table.focus()

    def action_drop_filter(self) -> None:
        """Without words."""
        self.query_one("#filter", Input).value = ""
        self.on_input_submitted()

    def on_data_table_row_selected(self) -> None:
        """What is on a node, or of a job; of a task its history."""
        if self._view in ("nodes", "jobs"):
            name = f"{self.key_here}/" if self._view == "jobs" else str(self.key_here)
            self.query_one("#filter", Input).value = name
            self.action_show("tasks")
        else:
            self.action_describe()

    def action_logs(self) -> None:
        """What a task writes."""
        if (task := self.task_here) is not None:
            log = self._source.logs(task)
            self.push_screen(Lines(f"logs of {task.slot}", lambda: map(_of_line, log), leave=log.close))

    def action_describe(self) -> None:
        """What happened to a task."""
        task, look = self.task_here, self._look
        if task is not None and look is not None:
            told = partial(_told, now=look.at)
            self.push_screen(Lines(f"history of {task.slot}", lambda: map(told, self._source.history(task))))

    def action_drain(self) -> None:
        """Empty a node, once it is confirmed."""
        self._ask("drain", "Every task of it moves elsewhere.", self._source.drain)

    def action_cordon(self) -> None:
        """Keep new tasks away from a node, once it is confirmed."""
        self._ask("cordon", "It keeps its tasks and gets no new ones.", self._source.cordon)

    def action_uncordon(self) -> None:
        """Let a node have tasks again, once it is confirmed."""
        self._ask("uncordon", "New tasks may be placed there again.", self._source.uncordon)

    def _ask(self, what: str, meaning: str, act: Callable[[str], str]) -> None:
        node = self.node_here
        if node is None:
            return

        def answered(is_meant: bool | None) -> None:  # noqa: FBT001 - as textual calls it
            if is_meant:
                self._say(f"{what} {node} ...")
                self._act(f"{what} {node}", partial(act, node))

        self.push_screen(Question(f"{what} {node}?", meaning), answered)

    @work(thread=True, group="act")
    def _act(self, what: str, act: Callable[[], str]) -> None:
        try:
            said = act()
        except CubeError as error:
            said = str(error)
        self.call_from_thread(self._say, f"{what}: {said}")


class Lines(Screen[None]):
    """Lines as they come, from a thread of their own."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "app.pop_screen", "back")]

    def __init__(
        self, title: str, begin: Callable[[], Iterable[Text]], leave: Callable[[], None] = lambda: None
    ) -> None:
        """`leave` is called once nobody looks any more, and may let the next line come at once."""
        super().__init__()
        self.heading = title
        self._begin = begin
        self._leave = leave
        self._is_left = threading.Event()

    def compose(self) -> ComposeResult:
        """As textual asks."""
        yield Label(Text(self.heading, style="bold"))
        yield RichLog(wrap=True)
        yield Footer()

    def on_mount(self) -> None:
        """Begin."""
        shown = self.query_one(RichLog)
        shown.focus()
        write = partial(self.app.call_from_thread, shown.write)
        threading.Thread(target=self._read, args=(write,), name="cube-top-lines", daemon=True).start()

    def on_unmount(self) -> None:
        """Leave them, in a thread: a node that hangs must not keep the screen."""
        self._is_left.set()
        threading.Thread(target=self._leave, name="cube-top-leave", daemon=True).start()

    def _read(self, write: Callable[[Text], object]) -> None:
        """A log that follows ends with its task, or with the first line after nobody looks any more."""
        try:
            for line in self._begin():
                if self._is_left.is_set():
                    return
                write(line)
        except CubeError as error:
            if not self._is_left.is_set():
                write(Text(str(error), style="red"))


class Question(ModalScreen[bool]):
    """Yes, or no, which anything else means."""

    CSS = """
    Question { align: center middle; }
    #question { width: 60; max-width: 90%; height: auto; padding: 1 2; border: round $error; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "yes"),
        Binding("n,escape,q,enter", "dismiss(False)", "no"),
    ]

    def __init__(self, title: str, meaning: str) -> None:
        super().__init__()
        self.heading = title
        self._meaning = meaning

    def compose(self) -> ComposeResult:
        """As textual asks."""
        with Vertical(id="question"):
            yield Label(Text(self.heading, style="bold"))
            yield Label(Text(self._meaning))
            yield Label(Text("y: yes   n: no", style="dim"))


def _cell(text: str) -> Text:
    return Text(_printable(text), style=STYLES.get(text, ""))


def _printable(text: str) -> str:
    """Without what would move the cursor."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def _of_line(line: LogLine | CubeError) -> Text:
    if isinstance(line, CubeError):
        return Text(_printable(str(line)), style="red")
    text = _printable(line.text.decode("utf-8", "replace").rstrip("\r\n").expandtabs())
    return Text(text, style="yellow" if line.stream == "stderr" else "")


def _told(event: TaskEvent, now: float) -> Text:
    when, _, change, node, reason, actor = map(_printable, of_event(event, now))
    return Text(f"{when:>4} ago  {change:<24} {node:<16} {reason}  ({actor})")
