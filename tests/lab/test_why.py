"""`cube why` and `cube why-not` against real nodes, typed as a person types them."""

import pytest

from tests.lab.desk import SLEEPER, Desk

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("fleet")]


def test_a_placement_is_explained_long_after_and_a_cordoned_node_says_what_would_help(desk: Desk) -> None:
    desk.cube("deploy", desk.write(SLEEPER))
    told = desk.data("why", "sleeper/main[0]")
    points = {
        name: sum(term["points"] for term in terms) for name, terms in told["decision"]["terms"].items()
    }
    assert sum(told["margin"].values()) == points[told["picked"]] - points[told["runner_up"]]
    other = told["runner_up"]
    desk.cube("node", "cordon", other)
    assert f"cube node uncordon {other}" in desk.cube("why-not", "sleeper", other).stdout
    assert desk.data("why", "sleeper/main[0]") == told, "what was decided is not changed by what came later"
    desk.cube("node", "uncordon", other)
    assert desk.data("why-not", "sleeper", other)[0]["fits"]
