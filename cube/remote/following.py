"""What a manager was asked for, followed to its end."""

from collections.abc import Callable, Mapping
from typing import Any

from cube.manager.report import Step
from cube.remote.decode import step_of
from cube.remote.link import Link, raised


def followed(link: Link, begun: Mapping[str, Any], tell: Callable[[Step], None]) -> Mapping[str, Any]:
    """How the operation ended, and its report, if it has one; `tell` hears its steps.

    Raises what the command itself would have raised there; UnreachableError where its end is not told.
    """
    for kind, data in link.stream(f"/operations/{begun['id']}/steps"):
        if kind == "step":
            tell(step_of(data))
        elif kind == "end":
            if error := data["operation"]["error"]:
                raise raised(error["detail"], error["exit_code"], error)
            found: Mapping[str, Any] = data
            return found
    raise link.lost("it ended before the operation did")
