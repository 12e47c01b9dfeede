"""Files from templates: what a person writes of them, as the job has them."""

from cube.document.template import literal
from cube.model.job import OnChange, Telling, Template
from cube.spec.discovery import hosts_file
from cube.spec.parts import TemplateSchema
from cube.spec.schema import GroupSchema


def templates_of(name: str, written: GroupSchema) -> tuple[Template, ...]:
    """Those of the group of that name, by their places; and the file of the names that it discovers."""
    found = [_template(target, template) for target, template in written.templates.items()]
    if written.discover:
        found.append(hosts_file(written.discover, written.extra_hosts, written.hostname or name))
    return tuple(sorted(found, key=lambda each: each.target))


def _template(target: str, written: TemplateSchema) -> Template:
    how = written.on_change
    if how.signal is not None:
        told = OnChange(telling=Telling.SIGNAL, signal=how.signal)
    elif how.exec is not None:
        told = OnChange(telling=Telling.EXEC, command=tuple(how.exec))
    else:
        told = OnChange(telling=Telling.RESTART if how.restart else Telling.NONE)
    text = None if written.text is None else literal(written.text)
    return Template(target=target, source=written.source or "", text=text, on_change=told, env=written.env)
