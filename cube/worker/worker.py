"""Worker: the manager's hand on one machine. It looks, it starts, it stops; it decides nothing."""

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from cube.connection import Channel, after
from cube.connection.ssh import Connection
from cube.errors import CubeError
from cube.image.shelf import Cargo, Shelf
from cube.model.action import Effect, Outcome, Push, Refresh, Verdict
from cube.model.node import Login, Node
from cube.model.observation import Container, Observation, PostMortem, Seen
from cube.model.software import release
from cube.model.transit import Told, unheard
from cube.worker import (
    delivered,
    delivery,
    drift,
    engine,
    execution,
    health,
    images,
    inspection,
    post_mortem,
    probe,
    refresh,
)
from cube.worker.belongings import Ask, Porter, Render, no_secrets, no_templates
from cube.worker.cause import unknown
from cube.worker.container import Claim
from cube.worker.forward import Forwards
from cube.worker.hiding import hiding
from cube.worker.lines import Lines
from cube.worker.tree import Hand, Tree
from cube.worker.volumes import LONGEST, Volumes

HAPPENINGS = ("die", "oom", "destroy", "pause", "unpause", "rename", "update", "health_status")
"""What of an engine's events may call for something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds that a node has to run the probe, to list its containers, and to answer one act.

    One container may take `inspect` of them, all together `listing` once more. A dead
    one's log is waited for `last_words`. A pull may be silent for `stall`, and no act takes longer than
    `act_in_all`.
    """

    probe: float = 5.0
    listing: float = 10.0
    inspect: float = 2.0
    last_words: float = 5.0
    act: float = 30.0
    stall: float = 60.0
    act_in_all: float = 1800.0


SLOWEST = 64 * 1024
"""Bytes a second: a line that carries less has no deadline for an image that it could keep."""


class Worker:
    """One node, over one connection that is opened when first needed. Safe to use from several threads."""

    def __init__(  # noqa: PLR0913 - what it is given, each a seam of its own
        self,
        node: Node,
        open_connection: Callable[[], Connection],
        claim: Claim,
        *,
        patience: Patience = Patience(),
        shelf: Shelf | None = None,
        tree: Tree | None = None,
        secret: Ask = no_secrets,
        render: Render = no_templates,
        registries: Mapping[str, Login] = MappingProxyType({}),
    ) -> None:
        self.node = node
        self._open_connection = open_connection
        self._claim = claim
        self._patience = patience
        self._shelf = shelf
        self._tree = tree
        self._opening = threading.Lock()
        self._connection: Connection | None = None
        self.connections = 0
        self._api_version = ""
        self._forwards = Forwards(self._forward)
        self._rounds = health.Rounds()
        self._porter = Porter(connect=self.connection, secret=secret, render=render, registries=registries)

    def observe(self, now: float) -> Observation:
        """Look once: stats, engine, containers and their health. Raises nothing for what the node does."""
        machine: probe.Machine | None = None
        try:
            machine = self.read_machine(now)
            return self._seen(machine, now)
        except CubeError as error:
            if isinstance(error, engine.EngineSilentError):
                self.close()  # whatever hangs over it ends; the next look begins afresh
            return unknown(self.node.name, error, machine, now)

    def perform(self, effect: Effect, told: Told = unheard) -> Outcome:
        """Carry out one effect. Safe to repeat; an answer that is lost is UNKNOWN, and nothing is retried.

        `told` hears how far an image is that has to come first.
        """
        if isinstance(effect, Push):
            return delivery.perform(effect, self._shelf, self.push, told)
        if isinstance(effect, Refresh):
            return refresh.perform(effect, self._claim, self._porter, self.open_channel)
        from cube.worker import effects, sdk  # noqa: PLC0415 - the docker SDK takes 200 ms

        try:
            with sdk.open_client(
                self._open_acting_channel,
                api_version=self.api_version(),
                timeout=self._patience.act,
                stall=self._patience.stall,
            ) as client:
                means = effects.Means(
                    claim=self._claim, witness=self._post_mortem, porter=self._porter, told=told
                )
                return effects.perform(client, effect, means)
        except CubeError as error:
            return Outcome(verdict=Verdict.UNKNOWN, why=error.what, cure=error.cure)

    def digest(self, image: str) -> str:
        """What the image's registry has by its name now; empty where it does not tell, or not in time."""
        from cube.worker import pulling, sdk  # noqa: PLC0415 - the docker SDK takes 200 ms

        try:
            with sdk.open_client(
                self.open_channel,
                api_version=self.api_version(),
                timeout=self._patience.listing,
                stall=self._patience.listing,
            ) as client:
                return pulling.digest(client, image, self._porter.login)
        except CubeError:
            return ""

    def inspect(self, container: str) -> Mapping[str, Any]:
        """All that the engine tells of one container, by its name or id, ours or not.

        Raises EngineError (`status` 404: there is none), and UnreachableError where the connection is lost.
        """
        path = f"/containers/{quote(container, safe='')}/json"
        found: Mapping[str, Any] = engine.get_json(self.open_channel(self._patience.listing), path)
        return found

    def logs(
        self, container: str, *, follow: bool = False, tail: int | None = None, since: float | None = None
    ) -> Lines:
        """The container's lines, each with its stream and beginning with its timestamp (RFC 3339).

        `since` in seconds since the epoch. With `follow` it ends when the container does.
        Raises EngineError, and UnreachableError where the connection is lost.
        """
        channel = self.open_channel(self._patience.listing)
        channel.expire_at(math.inf if follow else after(self._patience.act_in_all))
        channel.settimeout(None if follow else self._patience.listing)
        return Lines(channel, engine.read_logs(channel, container, follow=follow, tail=tail, since=since))

    def happenings(self) -> Iterator[str]:
        """Once as soon as it listens, then whenever a container of the cluster ends or is changed: what was.

        Goes on until the connection ends. Raises EngineError, and UnreachableError where it is lost.
        """
        channel = self.open_channel(self._patience.listing)
        channel.expire_at(math.inf)
        yield "listening"
        for event in engine.read_events(channel, cluster=self._claim.cluster, kinds=HAPPENINGS):
            yield str(event.get("status"))

    def execute(
        self, container: str, argv: Sequence[str], *, tty: bool = False, has_input: bool = False
    ) -> execution.Execution:
        """Run a command in the container, with `tty` at a terminal; what it is talked with.

        Raises EngineError where it cannot be started, UnreachableError where the connection is lost.
        """
        channels = partial(self.open_channel, self._patience.listing)
        return execution.begin(channels, container, argv, tty=tty, has_input=has_input)

    def push(self, cargo: Cargo, told: delivery.Told) -> delivery.Delivered:
        """Bring an image to the node: only the layers that its engine lacks, compressed.

        With a tree it may come from another node.

        `told` hears how many bytes have been sent, and of how many. Raises EngineError where the engine
        refuses, or has another image in the end; UnreachableError where the connection is lost: nothing of
        the image is there then, or all of it.
        """
        if self._tree is None:
            return delivery.push(cargo, self._open_delivery, told)
        hand = Hand(
            node=self.node.name,
            datacenter=self.node.datacenter,
            connect=self.connection,
            dial=self._open_connection,
            open_channel=self._open_delivery,
        )
        return self._tree.push(hand, cargo, told)

    def remove_image(self, name: str) -> None:
        """Take the name from its image, and remove an image that has no other; by an id, the image.

        Raises EngineError where a container was made from it, UnreachableError where the connection is lost.
        """
        images.remove(self.open_channel(self._patience.act), name)

    @property
    def volumes(self) -> Volumes:
        """The volumes of the node's engine."""
        return Volumes(
            node=self.node.name, cluster=self._claim.cluster, open_channel=self._open_copying_channel
        )

    def close(self) -> None:
        """End the connection. The worker may be used again: it opens another."""
        with self._opening:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def connection(self) -> Connection:
        """The node's connection, opened now if there is none that lives. Raises ConnectionFailed."""
        with self._opening:
            if self._connection is not None and not self._connection.is_alive:
                self._connection.close()
                self._connection = None
            if self._connection is None:
                self._connection = self._open_connection()
                self.connections += 1
            return self._connection

    def open_channel(self, seconds: float) -> Channel:
        """A stream to the engine's socket that ends after that long. Raises ConnectionFailed."""
        return self.connection().channel(probe.DOCKER_SOCKET, deadline=after(seconds))

    def read_machine(self, now: float) -> probe.Machine:
        """What the machine says of itself. Raises ConnectionFailed or StrangeAnswerError."""
        answer = self.connection().run(probe.SCRIPT, deadline=after(self._patience.probe))
        return probe.parse(answer.stdout, at=now)

    def api_version(self) -> str:
        """The newest API version that the engine speaks. Raises EngineError or UnreachableError."""
        if not self._api_version:
            self._api_version = engine.ping(self.open_channel(self._patience.listing)).api_version
        return self._api_version

    def _seen(self, machine: probe.Machine, now: float) -> Seen:
        listing = engine.list_containers(
            self.open_channel(self._patience.listing), cluster=self._claim.cluster
        )
        self._api_version = listing.engine.api_version
        return Seen(
            node=self.node.name,
            at=now,
            stats=replace(machine.stats, docker=release(listing.engine.version)),
            engine=listing.engine,
            containers=self._examined(listing, clock=machine.stats.clock),
            images=listing.images,
            volumes=listing.volumes,
        )

    def _examined(self, listing: engine.Listing, *, clock: float) -> tuple[Container, ...]:
        """The containers; of ours also how they ended, what was changed of them, and how they are."""
        inspections = inspection.inspect_each(
            self.open_channel,
            inspection.worth_asking(listing.containers, self._claim.cluster),
            each=self._patience.inspect,
            in_all=self._patience.listing,
        )
        containers = drift.with_drift(
            inspections.applied(listing.containers), listing.specs, inspections.told
        )
        containers = delivered.with_files(containers, listing.specs, self._read)
        checks = health.checks_of(containers, listing.specs, inspections.told)
        reach = health.Reach(forward=self._forwards.open, open_engine=self._open_asking_channel, clock=clock)
        return self._rounds.with_health(containers, checks, reach)

    def _forward(self, address: str, port: int, seconds: float) -> Channel:
        return self.connection().forward(address, port, deadline=after(seconds))

    def _read(self, script: str, stdin: bytes) -> bytes:
        """What a fixed script prints that changes nothing; nothing, where it fails."""
        answer = self.connection().run(script, stdin=stdin, deadline=after(self._patience.probe))
        return b"" if answer.exit_status else answer.stdout

    def _post_mortem(self, found: Mapping[str, Any]) -> PostMortem:
        return post_mortem.take(found, self._open_last_words, hiding(found, self._porter), at=time.time())

    def _open_last_words(self) -> Channel:
        channel = self.open_channel(self._patience.listing)
        channel.expire_at(after(self._patience.last_words))
        return channel

    def _open_asking_channel(self) -> Channel:
        """Lives as long as the slowest health check, which may be silent no longer than any other answer."""
        channel = self.open_channel(self._patience.listing)
        channel.expire_at(after(self._patience.listing + health.MAX_TIMEOUT))
        channel.settimeout(self._patience.listing)
        return channel

    def _open_delivery(self, size: int) -> Channel:
        """For so many bytes. It ends when nothing has moved for too long, not when there is much to move."""
        channel = self.open_channel(self._patience.listing)
        channel.expire_at(after(self._patience.act_in_all + size / SLOWEST))
        channel.settimeout(self._patience.stall)
        return channel

    def _open_copying_channel(self) -> Channel:
        """Ends when nothing has moved for too long, however much there is to move."""
        channel = self.open_channel(self._patience.listing)
        channel.expire_at(after(LONGEST))
        channel.settimeout(self._patience.stall)
        return channel

    def _open_acting_channel(self, seconds: float) -> Channel:
        channel = self.open_channel(seconds)
        channel.expire_at(after(self._patience.act_in_all))
        return channel
