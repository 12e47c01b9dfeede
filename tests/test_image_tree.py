"""Who hands an image to whom: laws of the plan, whatever fails, and the key that one transfer is given."""

import hashlib
import io
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random  # noqa: TID251 - drawn from the test's own seed
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from cube.cli.pushing import hint
from cube.connection.agent import Agent
from cube.connection.known_hosts import parse_key
from cube.image import pack
from cube.image.freight import Freight
from cube.image.relay import HERE, HOPELESS, TRIES, Party, Relay
from cube.manager.images import Pushed
from cube.worker.delivery import Delivered
from tests.imagery import image, layer

WHOLE = ("base", "lib", "app", "end")


def party(name: str, datacenter: str = "dc1", lacks: int = len(WHOLE)) -> Party:
    return Party(name=name, datacenter=datacenter, lacks=WHOLE[-lacks:])


parties = st.lists(
    st.tuples(st.sampled_from(("dc1", "dc2", "dc3")), st.integers(1, len(WHOLE))), min_size=1, max_size=24
).map(lambda drawn: [party(f"n{index}", *each) for index, each in enumerate(drawn)])


@dataclass
class Play:
    """A push played to its end: at each step all begin who can, then one transfer that is under way ends."""

    chance: Random
    bad: frozenset[tuple[str, str]] = frozenset()
    relay: Relay = field(default_factory=Relay)
    begun: list[tuple[str, str]] = field(default_factory=list)
    arrived: dict[str, str] = field(default_factory=dict)
    depth: dict[str, int] = field(default_factory=lambda: {HERE: 0})

    def run(self, those: Sequence[Party]) -> None:
        for each in those:
            self.relay = self.relay.joined(each)
        while len(self.arrived) < len(those):
            self._begin([each for each in those if each.name not in self.arrived])
            assert self.relay.under_way, "somebody waits, and nobody is served"
            self._end(self.chance.choice(sorted(self.relay.under_way)))

    def _begin(self, waiting: Sequence[Party]) -> None:
        for each in waiting:
            if each.name in self.relay.under_way:
                continue
            server = self.relay.server_for(each.name)
            if server is not None:
                assert server == HERE or server in self.arrived, "no one serves before it was served"
                assert (server, each.name) not in self.begun or server == HERE, "no pair fails twice"
                self.begun.append((server, each.name))
                self.relay = self.relay.begun(each.name, server)
        busy = Counter(server for server in self.relay.under_way.values() if server != HERE)
        assert all(count == 1 for count in busy.values()), "a node serves one at a time"

    def _end(self, name: str) -> None:
        server = self.relay.under_way[name]
        if (server, name) in self.bad:
            self.relay = self.relay.failed(name)
            return
        assert name not in self.arrived, "everyone is served once"
        self.relay = self.relay.arrived(name)
        self.arrived[name] = server
        self.depth[name] = self.depth[server] + 1


class TestATree:
    @given(parties, st.randoms(use_true_random=False))
    def test_serves_everyone_once_by_those_who_have_what_is_lacked(
        self, those: list[Party], chance: Random
    ) -> None:
        play = Play(chance)
        play.run(those)
        by_name = {each.name: each for each in those}
        for name, server in play.arrived.items():
            assert server == HERE or by_name[server].can_serve(by_name[name])

    @given(
        st.lists(st.sampled_from(("dc1", "dc2", "dc3")), min_size=1, max_size=24),
        st.randoms(use_true_random=False),
    )
    def test_of_nodes_that_lack_the_same_takes_one_copy_from_here_and_one_into_each_other_datacenter(
        self, places: list[str], chance: Random
    ) -> None:
        those = [party(f"n{index}", place) for index, place in enumerate(places)]
        play = Play(chance)
        play.run(those)
        place_of = {each.name: each.datacenter for each in those}
        assert Counter(play.arrived.values())[HERE] == 1
        crossed = [
            name
            for name, server in play.arrived.items()
            if server != HERE and place_of[server] != place_of[name]
        ]
        assert len(crossed) == len(set(places)) - 1

    def test_doubles_with_each_step(self) -> None:
        relay, steps = Relay(), 0
        names = [f"n{index:02}" for index in range(20)]
        for name in names:
            relay = relay.joined(party(name))
        while len(relay.holders) < len(names):
            for name in names:
                if name not in relay.holders and (server := relay.server_for(name)) is not None:
                    relay = relay.begun(name, server)
            for name in relay.under_way:
                relay = relay.arrived(name)
            steps += 1
        assert steps == 6, "1, 2, 4, 8, 16, 20"

    @given(parties, st.data(), st.randoms(use_true_random=False))
    def test_has_those_whose_server_fails_served_by_others_and_in_the_end_from_here_p2(
        self, those: list[Party], data: st.DataObject, chance: Random
    ) -> None:
        names = [each.name for each in those]
        pairs = [(server, served) for server in names for served in names if server != served]
        bad = frozenset(data.draw(st.lists(st.sampled_from(pairs)))) if pairs else frozenset()
        play = Play(chance, bad=bad)
        play.run(those)
        failures = Counter(served for server, served in play.begun if (server, served) in bad)
        assert all(count <= TRIES for count in failures.values())

    @given(st.integers(3, 12), st.randoms(use_true_random=False))
    def test_lets_one_that_serves_badly_serve_no_more(self, count: int, chance: Random) -> None:
        those = [party(f"n{index}") for index in range(count)]
        names = [each.name for each in those]
        play = Play(chance, bad=frozenset(("n0", served) for served in names))
        play.run(those)
        assert sum(server == "n0" for server, _ in play.begun) <= TRIES
        assert "n0" not in play.arrived.values()

    @given(st.integers(8, 16), st.randoms(use_true_random=False))
    def test_serves_one_that_no_node_reaches_from_here_after_two_have_tried(
        self, count: int, chance: Random
    ) -> None:
        those = [party(f"n{index}") for index in range(count)]
        last = those[-1].name  # when its turn comes, many have it
        play = Play(chance, bad=frozenset((each.name, last) for each in those))
        play.run(those)
        assert play.arrived[last] == HERE
        assert sum(served == last for _, served in play.begun) <= TRIES + 1

    @given(st.integers(8, 20), st.randoms(use_true_random=False))
    def test_gives_up_where_no_node_reaches_any_other(self, count: int, chance: Random) -> None:
        names = [f"n{index}" for index in range(count)]
        bad = frozenset((server, served) for server in names for served in names)
        play = Play(chance, bad=bad)
        play.run([party(name) for name in names])
        assert set(play.arrived.values()) == {HERE}
        assert sum(server != HERE for server, _ in play.begun) <= HOPELESS + 1, (
            "one more was under way by then"
        )

    def test_forgets_a_node_that_has_left(self) -> None:
        relay = Relay().joined(party("a")).joined(party("b"))
        relay = relay.begun("a", HERE)
        assert relay.server_for("b") is None
        assert relay.left("a").server_for("b") == HERE


def test_what_a_node_lacks_ends_with_all_that_one_with_more_of_its_layers_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is how one can serve the other, from the end of what it was sent itself."""
    monkeypatch.setattr(pack, "PART", 1)
    layers = [layer({f"app/{number}": bytes((number,)) * 1000}) for number in range(4)]
    whole = pack.unpack(io.BytesIO(image("web:1", layers)), "web:1", tmp_path)
    freights = [Freight(parcels=whole.parcels(present)) for present in range(5)]
    for count, more in enumerate(freights):
        sent = b"".join(more.pieces())
        assert (len(sent), hashlib.sha256(sent).hexdigest()) == (more.size, more.digest())
        rich = Party(name="rich", datacenter="dc1", lacks=more.names)
        for fewer in freights[count:]:
            assert sent.endswith(b"".join(fewer.pieces()))
            assert rich.can_serve(Party(name="poor", datacenter="dc1", lacks=fewer.names))


@pytest.mark.parametrize(
    ("nodes", "changes", "is_told"),
    [
        (8, {}, True),
        (7, {}, False),
        (20, {"is_new": False}, False),
        (20, {"source": "node1"}, False),
        (20, {"note": "node1 takes no connection from node2"}, False),
    ],
)
def test_who_pushes_to_many_nodes_without_a_tree_is_told_that_there_is_one(
    nodes: int, changes: dict[str, Any], is_told: bool
) -> None:
    done = Delivered(sent=1 << 20, layers=1, seconds=1.0, **changes)
    said = hint([Pushed(node=f"node{number}", delivered=done) for number in range(nodes)])
    told = "  sent from here 8 times, 8MiB; once, if the inventory has cube_image_tree: true"
    assert said == (told if is_told else "")


class TestTheKeyOfOneTransfer:
    def test_is_shown_and_signs_what_its_public_half_proves_but_only_once(self) -> None:
        agent = Agent()
        blob = parse_key(agent.public).blob
        assert agent.answer(bytes((11,))) == bytes((12,)) + struct.pack(">I", 1) + string(blob) + string(b"")
        asked = bytes((13,)) + string(blob) + string(b"a login") + struct.pack(">I", 0)
        answer = agent.answer(asked)
        assert answer[:1] == bytes((14,))
        public = Ed25519PublicKey.from_public_bytes(blob[-32:])
        public.verify(answer[-64:], b"a login")
        assert agent.answer(asked) == bytes((5,)), "it has signed"

    @given(st.binary(max_size=80))
    def test_signs_nothing_for_whoever_does_not_name_it(self, request: bytes) -> None:
        assert Agent().answer(request)[:1] in (bytes((5,)), bytes((12,)))


def string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data
