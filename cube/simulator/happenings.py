"""What happens to the machines by itself, or by somebody who does not ask Cube."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from random import Random

from cube.model.job import TaskSpec
from cube.simulator.history import IMAGES, History, happen, make_machine
from cube.simulator.laws import ours, runs

LEAVING = 0.3
"""In how many of the histories nodes leave the inventory for a while."""

AWAY = (60.0, 900.0, 3600.0)
"""Seconds for which they do."""

TIDY = 0.3
"""How often somebody who removes the last container of an image removes that, too."""


def crash_a_task(history: History) -> None:
    """A process ends by itself."""
    if running := [(machine, found) for machine, found in ours(history.site.machines) if runs(found)]:
        machine, found = history.random.choice(running)
        machine.end(found.id, history.random.choice((0, 1, 137)))


def remove_by_hand(history: History) -> None:
    """Somebody removes one of Cube's containers, and maybe its image with it."""
    if held := list(ours(history.site.machines)):
        machine, found = history.random.choice(held)
        machine.remove(found.id)
        is_in_use = any(other.image == found.image for other in machine.containers.values())
        if not is_in_use and Random(f"image {history.seed} {history.commands}").random() < TIDY:
            machine.images -= {found.image}


def change_by_hand(history: History) -> None:
    """Somebody changes one of Cube's containers."""
    if running := [(machine, found) for machine, found in ours(history.site.machines) if runs(found)]:
        machine, found = history.random.choice(running)
        machine.containers[found.id] = replace(found, drift="memory limit 1 in place of 2")


def lose_a_node(history: History) -> None:
    """A node goes away for some seconds, minutes, or an hour."""
    name = history.random.choice(sorted(history.site.machines))
    history.site.down.add(name)
    history.engine.at(history.random.choice((5.0, 120.0, 3600.0)), lambda: history.site.down.discard(name))


def hang_an_engine(history: History) -> None:
    """A node answers, and its engine does not."""
    name = history.random.choice(sorted(history.site.machines))
    history.site.hung.add(name)
    history.engine.at(history.random.choice((5.0, 120.0, 900.0)), lambda: history.site.hung.discard(name))


def cut_us_off(history: History) -> None:
    """It is the manager whose network is gone, to all of the nodes or to most of them."""
    names = sorted(history.site.machines)
    gone = names if history.random.random() < 0.5 else names[: len(names) * 2 // 3]
    history.site.down.update(gone)
    history.engine.at(history.random.choice((30.0, 900.0)), lambda: history.site.down.difference_update(gone))


def reboot_a_node(history: History) -> None:
    """Every process on a node ends at once."""
    history.site.machines[history.random.choice(sorted(history.site.machines))].reboot()


def fill_a_disk(history: History) -> None:
    """Nothing new can be made on a node for a while."""
    machine = history.site.machines[history.random.choice(sorted(history.site.machines))]
    machine.is_full = True

    def empty() -> None:
        machine.is_full = False

    history.engine.at(history.random.choice((60.0, 900.0)), empty)


def set_the_clock(history: History) -> None:
    """The manager's clock jumps."""
    history.has_jumped = True
    history.clock.offset += history.random.choice((-3600.0, -60.0, 300.0, 3600.0))


def fall_ill(history: History) -> None:
    """All tasks of an image answer their checks badly for a while."""
    image = history.random.choice(sorted(IMAGES))
    ill = {image}
    for machine in history.site.machines.values():
        machine.answers = lambda spec: spec.image not in ill
    history.engine.at(history.random.choice((20.0, 300.0)), ill.clear)


def flap(history: History) -> None:
    """All tasks of an image answer well and badly in turn for some minutes."""
    image, until = history.random.choice(sorted(IMAGES)), history.engine.time + 300.0
    period = history.random.choice((7.0, 30.0))

    def answers(spec: TaskSpec) -> bool:
        time = history.engine.time  # A clock that is set back must not make it last.
        return spec.image != image or time > until or int(time / period) % 2 == 0

    for machine in history.site.machines.values():
        machine.answers = answers


def crash_on_start(history: History) -> None:
    """All tasks of an image end as soon as they begin, for a while."""
    image = history.random.choice(sorted(IMAGES))
    bad = {image}
    for machine in history.site.machines.values():
        machine.program = lambda spec: 1 if spec.image in bad else None
    history.engine.at(history.random.choice((20.0, 300.0)), bad.clear)


def add_a_node(history: History) -> None:
    """The inventory gets one node more."""
    history.made += 1
    name = f"node{history.made}"
    owner = next(iter(history.site.machines.values())).owner
    history.site.machines[name] = make_machine(name, owner, history.engine, history.seed)
    history.nodes.append(name)


def rename_a_node(history: History) -> None:
    """A node is called otherwise in the inventory from now on."""
    old = history.random.choice(history.nodes)
    new = f"{old}x"
    machine = history.site.machines.pop(old)
    machine.name = new
    history.site.machines[new] = machine
    history.nodes[history.nodes.index(old)] = new
    _call_otherwise(history, old, new)


def _call_otherwise(history: History, old: str, new: str) -> None:
    for names in _sets_of_nodes(history):
        if old in names:
            names.remove(old)
            names.add(new)


def _sets_of_nodes(history: History) -> tuple[set[str], ...]:
    return (history.drained, history.given_up, history.cordoned, history.site.down, history.site.hung)


def lose_for_good(history: History) -> None:
    """A machine is gone, and somebody takes it out of the inventory."""
    if len(history.nodes) > 2:
        name = history.random.choice(history.nodes)
        _take_out(history, name)
        for names in _sets_of_nodes(history):
            names.discard(name)


@cache
def nodes_leave(seed: int) -> bool:
    """In some histories nodes leave the inventory, and come back."""
    return Random(f"leaving {seed}").random() < LEAVING


def leave_for_a_while(history: History) -> None:
    """Somebody takes a node that has work out of the inventory, and back in later, maybe by another name."""
    random = Random(f"leaving {history.seed} {history.commands}")
    at_work = {machine.name for machine, found in ours(history.site.machines) if runs(found)}
    if at_work and len(history.nodes) > 1:
        name = random.choice(sorted(at_work))
        _take_out(history, name)
        history.site.down.discard(name)
        history.site.hung.discard(name)
        new = random.choice((name, name, f"{name}x"))
        back = partial(happen, history, "come_back", partial(_come_back, history, name, new))
        history.engine.at(random.choice(AWAY), back)


def _take_out(history: History, name: str) -> None:
    history.nodes.remove(name)
    history.departed[name] = history.site.machines.pop(name)


def _come_back(history: History, old: str, new: str) -> None:
    machine = history.departed.pop(old)
    machine.name = new
    history.site.machines[new] = machine
    history.nodes.append(new)
    _call_otherwise(history, old, new)


HAPPENINGS: Mapping[str, Callable[[History], None]] = {
    act.__name__: act
    for act in (
        crash_a_task,
        remove_by_hand,
        change_by_hand,
        lose_a_node,
        hang_an_engine,
        cut_us_off,
        reboot_a_node,
        fill_a_disk,
        set_the_clock,
        fall_ill,
        flap,
        crash_on_start,
        add_a_node,
        rename_a_node,
        lose_for_good,
    )
}
