"""Laws that a plan is held to in production, too: better to end than to do what must never be done."""

from cube.errors import InternalError
from cube.model.action import Place, Plan
from cube.reconciler.placement import room_of
from cube.reconciler.world import World


def check_room(plan: Plan, world: World) -> None:
    """P13: no node is promised more than it has, and no host port twice. Raises InternalError."""
    places = [action for action in plan.actions if isinstance(action, Place)]
    states = dict(room_of(world)) if places else {}
    for place in places:
        state, ports = states[place.node], frozenset(place.ports.values())
        left = state.free - place.spec.resources
        if left.is_overdrawn or ports & state.ports:
            raise InternalError(f"the plan promises {place.node} more than it has: {place.slot}")
        states[place.node] = state.holding(place.spec.resources, ports)
