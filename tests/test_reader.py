"""YAML with its places: what is read, what is refused and where (P17)."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube.document.reader import MAX_DEPTH, Scalar, at, plain, read, typed
from cube.errors import InputError

TEXT = "job: web\nports: [22:22, {name: no}]\n"
BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def test_every_scalar_stays_text() -> None:
    assert plain(read(TEXT, "f")) == {"job": "web", "ports": ["22:22", {"name": "no"}]}


def test_typed_is_what_ansible_sees() -> None:
    assert typed(read(TEXT, "f")) == {"job": "web", "ports": [1342, {"name": False}]}


@pytest.mark.parametrize(
    ("path", "key", "place"),
    [
        (("job",), False, "f:1:6"),
        (("job",), True, "f:1:1"),
        (("ports", 1, "name"), False, "f:2:23"),
        (("ports", 1, "name"), True, "f:2:17"),
        (("ports", 9), False, "f:2:1"),
        (("nowhere", "deeper"), False, "f:1:1"),
    ],
)
def test_a_path_has_a_place(path: tuple[str | int, ...], key: bool, place: str) -> None:
    assert str(at(read(TEXT, "f"), path, key=key)) == place


@pytest.mark.parametrize("text", ["\ufeffa: 1\n", "a: 1\r\n", "a: 1", "---\na: 1\n...\n"])
def test_marks_of_other_editors_are_accepted(text: str) -> None:
    assert plain(read(text, "f")) == {"a": "1"}


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_nothing_is_a_null(text: str) -> None:
    document = read(text, "f")
    assert isinstance(document, Scalar)
    assert document.is_null


def test_aliases_and_merges_are_followed() -> None:
    document = read("a: &a {x: 1, y: 1}\nb:\n  <<: *a\n  y: 2\nc: *a\n", "f")
    assert plain(document) == {
        "a": {"x": "1", "y": "1"},
        "b": {"y": "2", "x": "1"},
        "c": {"x": "1", "y": "1"},
    }


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("a: 1\nb: 2\na: 3\n", "f:3:1", "line 1"),
        ("a: !!python/object:os.system x", "f:1:4", "!!python/object:os.system"),
        ("a: !vault x", "f:1:4", "vault"),
        ("[a]: 1", "f:1:1", "a key must be a word"),
        ("a: {{ b }}", "f:1:5", "a key must be a word"),
        ("a: 1\n---\nb: 2", "f:2:1", "second document"),
        ("[" * 2000, f"f:1:{MAX_DEPTH + 1}", "deeper"),
        ("a: &x [*x]", "f:1:8", "contains itself"),
        ("a: *x", "f:1:4", "names nothing"),
        ("a:\n\tb: 1", "f:2:1", "tab"),
        ("a: b: c", "f:1:5", "mapping values"),
        ("a: '", "f:1:5", "unexpected end"),
        ("ab\x00", "f:1:3", "U+0000"),
        ("x\na: \u202ekcah", "f:2:4", "U+202E"),
        ("a: \ud800", "f:1:4", "U+D800"),
        (BOMB, "f:5", "aliases stand for more"),
        ("<<: 1", "f:1:5", "merges tables"),
        ("x" * (1 << 20) + "x", "f", "larger than 1024 KiB"),
    ],
)
def test_what_is_refused_and_where(text: str, where: str, what: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text, "f")
    assert caught.value.where.startswith(where)
    assert what in str(caught.value)


@pytest.mark.parametrize("value", ["* * * * *", "*/5 * * * *", "*", "&", "*.example.com", "*all"])
def test_a_value_that_begins_as_an_alias_does_is_refused_with_the_advice_to_quote_it_p17(value: str) -> None:
    with pytest.raises(InputError, match=r"f:2:9.*\n.*put it in quotes"):
        read(f"schedule:\n  cron: {value}\n", "f")


def test_a_number_that_is_none_is_refused_when_typed() -> None:
    with pytest.raises(InputError, match="f:1:4: '2026-13-45' looks like a timestamp"):
        typed(read("a: 2026-13-45", "f"))


def test_an_allowed_tag_is_kept() -> None:
    document = read("a: !vault x", "f", tags=frozenset({"!vault"}))
    assert typed(document) == {"a": {"__ansible_vault": "x"}}


@given(st.text(alphabet="ab:-[]{}&*!<>|'\"# \n\t,?%@~0", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InputError):
        document = read(text, "f")
        plain(document)
        typed(document)
