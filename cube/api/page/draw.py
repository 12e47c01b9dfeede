"""Values to HTML: the templates, and what they may call. Everything that is put into one is escaped."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cube import __version__
from cube.view import words

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def draw(template: str, values: Mapping[str, Any]) -> str:
    """The template filled with the values."""
    return _TEMPLATES.get_template(template).render(values)


def html(
    template: str, values: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> HTMLResponse:
    """The template as an answer, which no other page may frame and no text in it can make act."""
    return HTMLResponse(draw(template, values), status, {**HEADERS, **(headers or {})})


def _moment(at: float) -> Markup:
    """A time that is the same in every rendering; the browser writes how long ago that is."""
    text = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Markup('<time datetime="{}">{}</time>').format(text, text[11:19])


_TEMPLATES = Environment(
    loader=PackageLoader("cube.api.page"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {"size": words.size, "cores": words.cores, "age": words.age, "moment": _moment}
_TEMPLATES.globals |= {"cube_version": __version__}
