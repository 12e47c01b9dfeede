"""Templates: what they give, what they see, and that they end."""

import tracemalloc
from typing import Any

import pytest

from cube.document.reader import Scalar, at, plain, read
from cube.document.template import render, render_text
from cube.errors import InputError

VARIABLES: dict[str, Any] = {
    "var": {
        "color": "blue",
        "count": 3,
        "hosts": ["a", "b"],
        "sure": True,
        "big": "x" * 300_000,
        "keys": "mine",
    },
    "env": {"HOME": "/home/ann"},
    "cluster": {"name": "lab", "tasks": list(range(3000))},
}


def rendered(template: str) -> str:
    return render_text(template, VARIABLES, "file.j2")


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ var.color }}-{{ color }}-{{ env.HOME }}-{{ cluster.name }}", "blue-blue-/home/ann-lab"),
        ("{{ var['color'] }} {{ color[1:3] }} {{ hosts[0] }}", "blue lu a"),
        ("{{ var.nothing | default('none') }}", "none"),
        ("{{ var.hosts | join(',') }}", "a,b"),
        ("{{ hosts | map('upper') | list | tojson }}", '["A", "B"]'),
        ("{{ count + 1 }} {{ count * 2 }} {{ 7 // 2 }} {{ 7 % 4 }} {{ 1 / 4 }}", "4 6 3 3 0.25"),
        ("{{ sure }} {{ count > 3 }}", "true false"),
        ("{{ 'a' ~ 1 ~ true }}", "a1true"),
        ("{% if color == 'blue' %}yes{% else %}no{% endif %}", "yes"),
        ("{% for key, value in env.items() %}{{ key }}={{ value }}{% endfor %}", "HOME=/home/ann"),
        (
            "{% for host in hosts %}{{ loop.index }}{{ host }}{{ '' if loop.last else ',' }}{% endfor %}",
            "1a,2b",
        ),
        ("{% set shade = 'dark' ~ color %}{{ shade }}", "darkblue"),
        ("{{ 'a,b'.split(',') | last }}", "b"),
        ("{{ 'a-b' | replace('-', '+') }}", "a+b"),
        ("{{ var.keys }}", "mine"),
        ("{# never seen #}{{ '' }}", ""),
        ("no template: { } %", "no template: { } %"),
    ],
)
def test_a_template_gives(template: str, text: str) -> None:
    assert rendered(template) == text


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ colr }}", "Did you mean 'color'?"),
        ("{{ absent }}", "--var absent=..."),
        ("{{ env.HOM }}", "Did you mean 'HOME'?"),
        ("{{ hosts }}", "a list where a text is needed"),
        ("{{ none }}", "nothing where a text is needed"),
        ("{{ color", "unexpected end of template"),
        ("{% if %}", "Expected an expression"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ color + 1 }}", "concatenate"),
        ("{{ color | no_such_filter }}", "No filter named"),
    ],
)
def test_a_mistake_is_told_with_its_cure(template: str, why: str) -> None:
    with pytest.raises(InputError) as refusal:
        rendered(template)

    assert why in str(refusal.value)


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__ }}",
        "{{ ''['__class__'] }}",
        "{{ '' | attr('__class__') }}",
        "{{ [''] | map(attribute='__class__') | join }}",
        "{{ [1, 2] | sort(attribute='__class__') | join }}",
        "{{ '{0.__class__}'.format('') }}",
        "{{ range.__globals__ }}",
        "{{ self._TemplateReference__context }}",
        "{{ hosts.append('c') }}",
        "{{ var.update({'color': 'red'}) }}",
        "{{ var.pop('color') }}",
        "{{ lipsum() }}",
        "{{ cycler('a') }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{% extends 'other' %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% for x in [[]] recursive %}{{ loop(x) }}{% endfor %}",
        "{% block a %}{% endblock %}",
    ],
)
def test_a_template_sees_data_and_nothing_of_python(template: str) -> None:
    with pytest.raises(InputError, match=r"file\.j2:1:1: this template cannot be rendered"):
        rendered(template)


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a' * 1000000000 }}",
        "{{ [1] * 1000000000 }}",
        "{{ 10 ** 10 ** 10 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ 'a' | center(1000000000) }}",
        "{{ 'a' | indent(1000000000) }}",
        "{{ big ~ big ~ big ~ big }}",
        "{{ big | replace('x', big) }}",
        "{{ big | replace('x', '" + "y" * 1000 + "') }}",
        "{{ hosts | join(big ~ big ~ big) }}",
        "{{ big + big + big + big }}",
        "{{ range(1000000000) | list }}",
        "{% for x in range(1000000000) %}{% endfor %}",
        "{% for x in range(9999) %}{% for y in range(9999) %}{% endfor %}{% endfor %}",
        "{% for x in cluster.tasks %}{% for y in cluster.tasks %}{% endfor %}{% endfor %}",
        "{% for x in range(999) %}" + "x" * 9999 + "{% endfor %}",
        "{% for x in range(99999) %}{{ 'y' in big }}{% endfor %}",
        "{% for x in range(99999) %}{{ big | length }}{% endfor %}",
        "{% for x in range(99999) %}{{ big[1:] | first }}{% endfor %}",
        "".join(f"{{% set a{n + 1} = [a{n}, a{n}] %}}" for n in range(1, 40)).join(
            ["{% set a1 = [1, 1] %}", ""]
        ),
        "".join(f"{{% set a{n + 1} = a{n} * a{n} %}}" for n in range(1, 40)).join(["{% set a1 = 9 %}", ""]),
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{{ 1" + " + 1" * 5000 + " }}",
        "{{ color }}" * 50_000,
    ],
    ids=lambda template: template[:40],
)
def test_p1_no_template_runs_for_ever_or_makes_endless_text(template: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="cannot be rendered"):
            rendered(template)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20, "refused before it took the memory"
    finally:
        tracemalloc.stop()


def test_p1_many_small_templates_share_one_purse() -> None:
    document = read(
        "a: &a [" + "'{{ color }}', " * 100 + "]\n" + "\n".join(f"k{n}: *a" for n in range(400)), "job.yml"
    )

    with pytest.raises(InputError, match="more work"):
        render(document, VARIABLES)


def test_p16_what_a_variable_holds_is_one_value_and_never_structure() -> None:
    document = read("a: '{{ var.evil }}'\nb: [1]", "job.yml")

    result = render(document, {"var": {"evil": "x\nb: {c: d} # &a *a\n"}})

    assert plain(result) == {"a": "x\nb: {c: d} # &a *a\n", "b": ["1"]}


def test_what_a_variable_holds_is_not_rendered_again() -> None:
    assert render_text("{{ evil }}", {"var": {"evil": "{{ 1 }}"}}, "file.j2") == "{{ 1 }}"


def test_a_rendered_value_is_text_even_if_it_reads_as_nothing() -> None:
    value = render(read("'{{ var.tilde }}'", "job.yml"), {"var": {"tilde": "~"}})

    assert isinstance(value, Scalar)
    assert not value.is_null


def test_keys_are_never_templates() -> None:
    assert plain(render(read("'{{ color }}': 1", "job.yml"), VARIABLES)) == {"{{ color }}": "1"}


def test_a_rendered_value_stays_at_its_place() -> None:
    document = read("a:\n  - x\n  - '{{ color }}'\n", "job.yml")

    assert at(render(document, VARIABLES), ("a", 1)) == at(document, ("a", 1))


def test_a_failure_in_a_file_has_its_line_and_column() -> None:
    with pytest.raises(InputError) as refusal:
        rendered("first\nsecond: {{ color }}\nthird: {{ colr }}\n")

    assert refusal.value.where == "file.j2:3:8"
