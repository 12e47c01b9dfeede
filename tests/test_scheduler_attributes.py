"""How a constraint compares, and regular expressions that always come to an end."""

import re
import string
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube.errors import InputError
from cube.model import regexp
from cube.model.job import Affinity, Constraint, Operator, Spread
from cube.scheduler.attributes import holds
from cube.spec.demands import constraint
from cube.spec.parse import parse


@pytest.mark.parametrize(
    ("text", "found", "expected"),
    [
        ("label.a = x", "x", True),
        ("label.a = x", None, False),
        ("label.a != x", None, True),
        ("label.a in x, y", "y", True),
        ("label.a not-in x, y", None, True),
        ("label.a < 10", "9", True),
        ("label.a < 10", "9.5", True),
        ("label.a < 10", "nine", False),
        ("label.a >= b", "c", True),
        ("label.a <= b", "c", False),
        ("label.a > 2", None, False),
        ("label.a regexp ^ubuntu-2[24]$", "ubuntu-24", True),
        ("label.a regexp ^ubuntu-2[24]$", "ubuntu-20", False),
        ("label.a regexp 4", None, False),
        ("label.a version >= 1.9, < 2", "1.10", True),
        ("label.a version >= 1.9, < 2", "2.0", False),
        ("label.a version < 2", "2.0-rc1", True),
        ("label.a version = 1.2", "v1.2.0", True),
        ("label.a version != 1.2", "1.2.1", True),
        ("label.a version 5.10.0-8-amd64", "5.10.0-8-amd64", True),
        ("label.a version > 5.10.0-8", "5.10.0-21", True),
        ("label.a set_contains x, y", "z, y,x", True),
        ("label.a set_contains x, y", "x", False),
        ("label.a = x", "y", False),
        ("label.a = x", "xy", False),
        ("label.a != x", "x", False),
        ("label.a != x", "y", True),
        ("label.a in x, y", "z", False),
        ("label.a in x, y", None, False),
        ("label.a not-in x, y", "x", False),
        ("label.a not-in x, y", "z", True),
        ("label.a < 10", "10", False),
        ("label.a < 10", "11", False),
        ("label.a <= 10", "10", True),
        ("label.a <= 10", "10.5", False),
        ("label.a <= 10", "9", True),
        ("label.a > 10", "10", False),
        ("label.a > 9", "10", True),
        ("label.a >= 10", "10", True),
        ("label.a >= 10", "9", False),
        ("label.a < b", "b", False),
        ("label.a <= b", "b", True),
        ("label.a > b", "b", False),
        ("label.a >= b", "b", True),
        ("label.a < 1", "-1", True),
        ("label.a regexp ^u$", "v", False),
        ("label.a version < 2", "2.0", False),
        ("label.a version <= 2", "2.0", True),
        ("label.a version <= 2", "2.0.1", False),
        ("label.a version > 2", "2.0", False),
        ("label.a version >= 2", "2", True),
        ("label.a version >= 2", "2.0-rc1", False),
        ("label.a version >= 1.9, < 2", "1.8", False),
        ("label.a version = 1.2", "1.2.1", False),
        ("label.a version 1.2", "1.3", False),
        ("label.a version != 1.2", "v1.2.0", False),
        ("label.a version > 1", "one", False),
        ("label.a set_contains x, y", "y", False),
        ("label.a set_contains x", "xy", False),
        ("label.a distinct_property 2", "x", True),
        ("distinct_hosts", "x", True),
        ("label.a is_set", "", True),
        ("label.a is_set", None, False),
        ("label.a distinct_property 2", None, True),
        ("distinct_hosts", None, True),
    ],
)
def test_a_constraint_holds_as_its_operator_says(text: str, found: str | None, expected: bool) -> None:
    assert holds(constraint(text), found) is expected


def test_all_of_several_expressions_have_to_match() -> None:
    both = Constraint(attribute="label.a", operator=Operator.REGEXP, values=("^a", "b$"))
    assert [holds(both, text) for text in ("a b", "a", "b")] == [True, False, False]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("label.a", "is no constraint"),
        ("label.a =", "is not one value"),
        ("label.a is_set x", "nothing follows 'is_set'"),
        ("label.a regexp", "a regular expression is missing"),
        ("label.a regexp (", "has no '\\)'"),
        ("label.a regexp a)", "without its"),
        ("label.a regexp *a", "nothing stands before '\\*'"),
        ("label.a regexp [a", "has no '\\]'"),
        ("label.a regexp (?=a)", "nothing stands before '\\?'"),
        ("label.a regexp \\1", "is not known here"),
        ("label.a regexp [z-a]", "is no expression"),
        ("label.a regexp " + "a" * 300, "256 are allowed"),
        ("label.a version newest", "is no version"),
        ("label.a distinct_property many", "how many tasks may share a value"),
        ("node.cpu > 3", "is no attribute of a node"),
    ],
)
def test_what_is_no_constraint_is_refused_and_told_why(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        constraint(text)


ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\d", r"\w", "^", "$", r"\.", "-"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("|".join).map("({})".format),
        st.tuples(inner, st.sampled_from("*+?")).map(lambda pair: f"({pair[0]}){pair[1]}"),
    ),
    max_leaves=6,
)


@given(pattern=PATTERNS, text=st.text("ab1.-", max_size=8))
def test_an_expression_matches_where_python_s_own_does(pattern: str, text: str) -> None:
    whole = re.compile(pattern.replace("$", r"\Z"), re.ASCII | re.DOTALL)
    assert regexp.found(pattern, text) is (whole.search(text) is not None)


def test_an_expression_that_python_never_comes_to_an_end_with_is_answered_at_once_p17() -> None:
    """2^60 ways for Python's own; the time limit of a test would end it."""
    assert not regexp.found("^(a|a|aa)*$", "a" * 60 + "b")


@given(st.text(string.printable, max_size=40), st.text("ab(1.", max_size=20))
def test_any_text_is_an_expression_or_refused_with_a_word(pattern: str, text: str) -> None:
    with suppress(ValueError):
        regexp.found(pattern, text)


GROUP = "job: web\ngroups:\n  web:\n    image: app:1\n"


def test_a_job_file_says_what_a_group_demands_and_wishes() -> None:
    text = """    constraints: [distinct_hosts, label.rack distinct_property 2]
    affinities: {"label.disk = ssd": 80, node.name = old: -50}
    spread: {label.zone: evenly, node.datacenter: {dc1: 70, dc2: 30}}
    max_per_node: 3
"""
    (group,) = parse(GROUP + text, "web.yml", {}).groups
    assert group.constraints == (
        Constraint(attribute="", operator=Operator.DISTINCT_HOSTS),
        Constraint(attribute="label.rack", operator=Operator.DISTINCT_PROPERTY, values=("2",)),
    )
    disk = Constraint(attribute="label.disk", operator=Operator.EQUAL, values=("ssd",))
    name = Constraint(attribute="node.name", operator=Operator.EQUAL, values=("old",))
    assert group.affinities == (Affinity(constraint=disk, weight=80), Affinity(constraint=name, weight=-50))
    targets = (("dc1", 70), ("dc2", 30))
    assert group.spread == (
        Spread(attribute="label.zone"),
        Spread(attribute="node.datacenter", targets=targets),
    )
    assert group.max_per_node == 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('    affinities: {"label.disk = ssd": 0}\n', "write a weight from 1 to 100"),
        ("    affinities: {distinct_hosts: 5}\n", "is no affinity"),
        ("    spread: {label.zone: {a: 70, b: 40}}\n", "add up to 110 percent"),
        ("    spread: {zone: evenly}\n", "is no attribute of a node"),
        ("    max_per_node: 0\n", "write a whole number from 1"),
    ],
)
def test_a_wish_that_cannot_be_is_refused_with_its_place(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse(GROUP + text, "web.yml", {})
