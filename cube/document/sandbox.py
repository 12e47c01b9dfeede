"""Jinja2 for people who are not trusted with Python: data only, and never more work than was paid for.

Jinja2's own sandbox hides Python's insides but lets `'a' * 10**9` and endless loops through. Here each
step of a template pays for the size of what it makes out of one purse per document. The steps are made
to pay by rewriting the template's syntax tree, so nothing depends on a clock: the same template is
refused on every machine, or on none.
"""

import difflib
import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import CodeType, TracebackType
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, Undefined, nodes
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.filters import FILTERS
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS

from cube.document.reader import Mark
from cube.errors import InputError

WORK = 1_000_000
"""What one document may spend: about a character made, an item visited or a microsecond, each."""

_PER_TEMPLATE, _PER_CHARACTER, _PER_NODE = 300, 4, 40
"""What it costs to compile a template; in proportion to times measured (0.3 ms, 4 us, 30 us)."""

_STATEMENTS = (nodes.Template, nodes.Output, nodes.TemplateData, nodes.For, nodes.If, nodes.Assign)
_EXPRESSIONS = (
    nodes.Name, nodes.Const, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.Keyword,
    nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Call, nodes.Filter, nodes.Test,
    nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.CondExpr,
    nodes.Neg, nodes.Pos, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Concat,
)  # fmt: skip
_PAYING = (nodes.List, nodes.Dict, nodes.Call, nodes.Add, nodes.Sub, nodes.Mul)

_FILTERS = (
    "abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "int", "items", "last",
    "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "reverse", "select",
    "selectattr", "sort", "string", "title", "trim", "unique", "upper",
)  # fmt: skip
_TESTS = (
    "boolean", "defined", "false", "float", "integer", "iterable", "mapping", "none", "number", "sequence",
    "string", "true", "undefined",
)  # fmt: skip
_TEXT_METHODS = frozenset(
    {"endswith", "lower", "lstrip", "removeprefix", "removesuffix", "rstrip", "split", "splitlines"}
    | {"startswith", "strip", "title", "upper"}
)
_TABLE_METHODS = frozenset({"get", "items", "keys", "values"})


class Purse:
    """What is left to spend."""

    def __init__(self, amount: int) -> None:
        self.left = amount

    def pay(self, amount: int) -> None:
        """Raises SecurityError where the purse is empty."""
        self.left -= amount
        if self.left < 0:
            raise SecurityError("it takes more work, or makes more text, than a document may cost")

    def pay_for(self, value: Any) -> Any:
        """The value, once its size is paid: its characters and items, those within items too."""
        pending = [value]
        while pending:
            item = pending.pop()
            self.pay(1 + (len(item) if isinstance(item, str | range) else 0))
            if isinstance(item, int) and item.bit_length() > 64:
                raise SecurityError("a number grows out of bounds")
            if isinstance(item, list | tuple):
                pending.extend(item)
            elif isinstance(item, dict):
                pending.extend((*item.keys(), *item.values()))
        return value

    def pay_each(self, items: Iterable[Any]) -> Iterator[Any]:
        """The items, each paid when it is asked for."""
        for item in items:
            self.pay(1)
            yield item


class Sandbox:
    """Renders templates over the same variables, all out of one purse."""

    def __init__(self, variables: Mapping[str, Any], *, work: int = WORK) -> None:
        self.variables = {**variables.get("var", {}), **variables}
        self.purse = Purse(work)
        self.environment = _Environment(self.purse)

    def render(self, text: str, mark_of: Callable[[int], Mark]) -> str:
        """The text that the template makes. Raises InputError at the mark of the line in which it fails."""
        try:
            return "".join(self._pieces(text))
        except Exception as error:  # noqa: BLE001 - a template can raise anything, and it is always its writer's
            line = _line_of(error)
            why, cure = self._explained(error)
            raise InputError(
                "this template cannot be rendered", where=str(mark_of(line)), why=why, cure=cure
            ) from None

    def _pieces(self, text: str) -> Iterator[str]:
        self.purse.pay(_PER_TEMPLATE + _PER_CHARACTER * len(text))
        code, size = _compiled(text)
        self.purse.pay(_PER_NODE * size)
        template = Template.from_code(self.environment, code, self.environment.make_globals(None))
        for piece in template.generate(self.variables):
            self.purse.pay(len(piece))
            yield piece

    def _explained(self, error: Exception) -> tuple[str, str]:
        why = (
            (error.message or "") if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"
        )
        if isinstance(error, InputError):
            return error.what, error.cure
        if isinstance(error, RecursionError | MemoryError):
            return "it nests too deeply", "Write it as several simpler values."
        if found := re.fullmatch(r"'(\w+)' is undefined", why):
            return why, _nearest(found[1], self.variables) or f"Give it a value: --var {found[1]}=..."
        return why, ""


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja2 without loaders, macros and methods, but for those named above."""

    intercepted_binops = frozenset({"*", "%"})

    def __init__(self, purse: Purse) -> None:
        super().__init__(
            undefined=StrictUndefined,
            finalize=_as_text,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            cache_size=0,
        )
        filters = {name: FILTERS[name] for name in _FILTERS}
        filters |= {"join": functools.partial(_join, purse), "replace": functools.partial(_replace, purse)}
        filters |= {"tojson": _as_json}
        self.filters = {name: _paying(filter_, purse) for name, filter_ in filters.items()}
        self.filters |= {"pay_for": purse.pay_for, "pay_each": purse.pay_each}
        self.tests = {name: TESTS[name] for name in _TESTS}
        self.globals = {"range": _range}

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A table's own key before any method of it."""
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        if isinstance(obj, Mapping) and attribute not in _TABLE_METHODS:
            return self.undefined(f"there is no '{attribute}' here. {_nearest(attribute, obj)}".strip())
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """As getattr where a table is asked for a name."""
        if isinstance(obj, Mapping) and isinstance(argument, str):
            return self.getattr(obj, argument)
        return super().getitem(obj, argument)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:  # noqa: ARG002 - Jinja2's signature
        """Whether a template may see it: a few methods of text and tables, what a loop tells of itself."""
        if isinstance(obj, LoopContext):
            return not attr.startswith("_")
        return attr in (_TABLE_METHODS if isinstance(obj, Mapping) else _TEXT_METHODS)

    def wrap_str_format(self, value: Any) -> None:
        """No `format`: it pads a text to any width."""

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Numbers only: `*` would repeat a text, `%` would pad it to any width."""
        if not all(isinstance(side, int | float) for side in (left, right)):
            raise SecurityError(f"'{operator}' is for numbers only")
        return super().call_binop(context, operator, left, right)


@functools.lru_cache(maxsize=128)
def _compiled(text: str) -> tuple[CodeType, int]:
    """What the template is compiled to, and of how many nodes it is.

    That takes 20 ms for a proxy's configuration, which is made anew for each of its tasks at every turn.
    """
    environment = _Environment(Purse(0))  # Nothing is worked out before somebody pays for it.
    tree = environment.parse(text)
    size = sum(1 for _ in tree.find_all(nodes.Node))
    Purse(WORK).pay(_PER_NODE * size)
    _check(tree)
    _make_pay(tree)
    tree.set_environment(environment)
    return environment.compile(tree), size


def _check(tree: nodes.Template) -> None:
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, _STATEMENTS + _EXPRESSIONS) or (
            isinstance(node, nodes.For) and node.recursive
        ):
            raise TemplateSyntaxError(f"'{type(node).__name__.lower()}' is not allowed here", node.lineno)


def _make_pay(node: nodes.Node) -> nodes.Node:
    """The node, or what takes its place: a filter that pays for what the node makes."""
    for name, value in node.iter_fields():
        if isinstance(value, nodes.Node):
            setattr(node, name, _make_pay(value))
        elif isinstance(value, list):
            setattr(node, name, [_make_pay(item) if isinstance(item, nodes.Node) else item for item in value])
    match node:
        case nodes.Concat():
            return _filtered(nodes.List(node.nodes, lineno=node.lineno), "join")
        case nodes.For():
            node.iter = _filtered(node.iter, "pay_each")
        case nodes.Compare():
            node.expr = _filtered(node.expr, "pay_for")
        case nodes.Operand():
            node.expr = _filtered(node.expr, "pay_for")
        case nodes.Expr() if _makes_something(node):
            return _filtered(node, "pay_for")
    return node


def _makes_something(node: nodes.Expr) -> bool:
    match node:
        case nodes.Tuple(ctx=context):
            return bool(context == "load")
        case nodes.Getitem(arg=argument):
            return isinstance(argument, nodes.Slice)
    return isinstance(node, _PAYING)


def _filtered(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _paying(function: Callable[..., Any], purse: Purse) -> Callable[..., Any]:
    @functools.wraps(function, updated=())
    def paid(*args: Any, **kwargs: Any) -> Any:
        purse.pay_for((args, kwargs))
        return purse.pay_for(function(*args, **kwargs))

    # Jinja2 marks the filters that want the environment or the context as their first argument.
    vars(paid).update(getattr(function, "__dict__", {}))
    return paid


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float | Undefined):
        return str(value)
    name = {list: "a list", tuple: "a list", dict: "a table", type(None): "nothing"}.get(
        type(value), "no text"
    )
    raise SecurityError(f"it gives {name} where a text is needed; filters such as join or tojson make one")


def _join(purse: Purse, value: Iterable[Any], separator: str = "") -> str:
    pieces: list[str] = []
    for item in value:
        pieces.append(_as_text(item))
        purse.pay(len(pieces[-1]) + len(separator))
    return separator.join(pieces)


def _replace(purse: Purse, value: str, old: str, new: str) -> str:
    purse.pay(str(value).count(old) * len(new))
    return str(value).replace(old, new)


def _as_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _range(*bounds: int) -> range:
    numbers = range(*bounds)
    if len(numbers) > WORK:
        raise SecurityError("the range is too long")
    return numbers


def _nearest(name: str, known: Iterable[str]) -> str:
    close: Sequence[str] = difflib.get_close_matches(name, [str(key) for key in known], n=1)
    return f"Did you mean '{close[0]}'?" if close else ""


def _line_of(error: Exception) -> int:
    if isinstance(error, TemplateSyntaxError):
        return error.lineno
    return _line_in(error.__traceback__)


def _line_in(traceback: TracebackType | None) -> int:
    line = 1
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == "<template>":
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line
