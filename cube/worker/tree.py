"""An image that nodes pass on to each other: what is pushed to several at once leaves this machine once.

Each node's push runs in a thread of its own, as without a tree. It is told who is to serve it, has that node
send what it lacks, checks every byte, and serves others from then on while its own engine loads the image.
What a node cannot be sent so it is sent directly.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import accumulate

from cube.connection import after, remaining
from cube.connection.agent import Agent
from cube.connection.failure import ConnectionFailed
from cube.connection.ssh import Connection
from cube.errors import CubeError
from cube.image.freight import Freight
from cube.image.relay import HERE, Party, Relay
from cube.image.shelf import Cargo
from cube.model.observation import Cause
from cube.worker import delivery, images, landing
from cube.worker.delivery import Delivered, Told
from cube.worker.engine import EngineError
from cube.worker.landing import Landing, LandingError

WORTH = 1 << 20
"""Bytes. What would save this machine less than these is sent directly: the logins would cost more."""

STALL = 15.0
"""Seconds in which something must arrive, or another node serves."""

CLEARING = 5.0
"""Seconds that are waited for nodes to take away what is left."""

LOOK = 0.5
"""Seconds between two looks at how much has arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hand:
    """What a push needs of one node: its connection, another one for a transfer alone, and its engine."""

    node: str
    datacenter: str
    connect: Callable[[], Connection]
    dial: Callable[[], Connection]
    open_channel: delivery.OpenChannel


@dataclass(slots=True)
class _Growth:
    """One image's tree while anybody pushes it."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    pushes: int = 0
    relay: Relay = field(default_factory=Relay)
    stands: dict[str, tuple[Hand, Landing]] = field(default_factory=dict)
    _hashing: threading.Lock = field(default_factory=threading.Lock)
    _digests: dict[tuple[str, ...], str] = field(default_factory=dict)

    def step(self, step: Callable[[Relay], Relay]) -> None:
        """Go on, and let those who wait look again."""
        with self.changed:
            self.relay = step(self.relay)
            self.changed.notify_all()

    def digest(self, freight: Freight) -> str:
        """The SHA-256 of all its bytes, in hex; most nodes lack the same."""
        with self._hashing:
            if freight.names not in self._digests:
                self._digests[freight.names] = freight.digest()
            return self._digests[freight.names]


class Tree:
    """The trees of all images that are pushed now. Any number of threads may use it."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._growing: dict[str, _Growth] = {}

    def push(self, hand: Hand, cargo: Cargo, told: Told) -> Delivered:
        """As `delivery.push`, from another node where there is one that can. Raises CubeError."""
        with self._growth(cargo.recipe.id) as growth:
            try:
                return _Branch(growth, hand, cargo, told).grow()
            except _AloneError:
                return delivery.push(cargo, hand.open_channel, told)
            except (LandingError, EngineError) as error:
                done = delivery.push(cargo, hand.open_channel, told)
                return replace(done, note=_told(error))

    @contextmanager
    def _growth(self, image: str) -> Iterator[_Growth]:
        """The image's tree. Who leaves it last takes away what is left of it on the nodes."""
        with self._turn:
            growth = self._growing.setdefault(image, _Growth())
            growth.pushes += 1
        try:
            yield growth
        finally:
            with self._turn:
                growth.pushes -= 1
                is_last = not growth.pushes
                if is_last:
                    del self._growing[image]
            if is_last and growth.stands:
                _clear(growth.stands.values())


class _AloneError(Exception):
    """There is nothing to be gained by a tree."""


class _Branch:
    """One node's push."""

    def __init__(self, growth: _Growth, hand: Hand, cargo: Cargo, told: Told) -> None:
        self._growth = growth
        self._hand = hand
        self._cargo = cargo
        self._told = told
        self._freight: Freight
        self._connection: Connection
        self._landing: Landing

    def grow(self) -> Delivered:
        """Raises LandingError or EngineError where the node must be sent it directly, ConnectionFailed."""
        started = time.monotonic()
        if delivery.introduce(self._cargo, self._hand.open_channel):
            return Delivered(sent=0, layers=0, seconds=time.monotonic() - started, is_new=False)
        present = images.layers_there(self._hand.open_channel(0), self._cargo.recipe.layers)
        self._freight = Freight(parcels=self._cargo.pack().parcels(present))
        others = self._growth.pushes - 1
        if others * self._freight.size < WORTH:
            raise _AloneError
        self._connection = self._hand.connect()
        self._landing = landing.prepare(self._connection)
        with self._taking_part():
            source, note = self._have_sent()
            self._load()
        return Delivered(
            sent=self._freight.size,
            layers=sum(parcel.layers for parcel in self._freight.parcels),
            seconds=time.monotonic() - started,
            source=source,
            note=note,
        )

    @contextmanager
    def _taking_part(self) -> Iterator[None]:
        """Among those that are served; and, unless this fails, that serve."""
        name = self._hand.node
        party = Party(name=name, datacenter=self._hand.datacenter, lacks=self._freight.names)
        self._growth.stands[name] = (self._hand, self._landing)
        self._growth.step(lambda relay: relay.joined(party))
        try:
            yield
        except BaseException:
            self._growth.step(lambda relay: relay.left(name))
            raise

    def _have_sent(self) -> tuple[str, str]:
        """The bytes are there; by whom, and why by no node. Raises LandingError, ConnectionFailed."""
        name, note = self._hand.node, ""
        while True:
            server = self._await_server()
            try:
                self._transfer(server)
            except LandingError as error:
                self._growth.step(lambda relay: relay.failed(name))
                if server == HERE:
                    raise
                note = _told(error)
            else:
                self._growth.step(lambda relay: relay.arrived(name))
                return server, "" if server else note

    def _await_server(self) -> str:
        """Who serves now; it is not given to another one before we are done. Raises ConnectionFailed."""
        name, growth = self._hand.node, self._growth
        with growth.changed:
            while (server := growth.relay.server_for(name)) is None:
                growth.changed.wait(1.0)
                if not self._connection.is_alive:
                    raise ConnectionFailed(Cause.LOST, where=name)
            growth.relay = growth.relay.begun(name, server)
        return server

    def _transfer(self, server: str) -> None:
        """Raises LandingError where the server or the way to it fails, ConnectionFailed where the node."""
        try:
            if server == HERE:
                self._send_from_here()
            else:
                self._have_served(*self._growth.stands[server])
        finally:
            landing.close(self._connection, self._landing)
        size = self._freight.size
        if landing.digest(self._connection, self._landing, size) != self._growth.digest(self._freight):
            raise LandingError(f"what came from {server or 'here'} is not the image")

    def _send_from_here(self) -> None:
        with _dialled(self._hand) as sending:
            self._watch(sending, lambda: landing.receive(sending, self._landing, self._freight.pieces()))

    def _have_served(self, server: Hand, place: Landing) -> None:
        agent, size = Agent(), self._freight.size
        landing.admit(self._connection, self._landing, size, agent)
        with _dialled(server) as sending:
            self._watch(sending, lambda: landing.serve(sending, place, self._landing, size, agent))

    def _watch(self, sending: Connection, send: Callable[[], None]) -> None:
        """Until all has been sent. Raises LandingError where it fails, or nothing arrives for too long."""
        there, patience = 0, after(STALL)

        def look(more: int) -> None:
            nonlocal there, patience
            if more > there:
                there, patience = more, after(STALL)
                self._told(there, self._freight.size)
            elif not remaining(patience):
                raise LandingError(f"nothing has come from {sending.name} for {STALL:.0f} s")

        self._attend(partial(_as_server, send), look)

    def _attend(self, work: Callable[[], None], look: Callable[[int], None]) -> None:
        """Until the work is done, which raises what it raises; meanwhile `look` hears how much has arrived.

        Raises ConnectionFailed where the node does not answer.
        """
        ended: Future[None] = Future()
        threading.Thread(target=_settle, args=(ended, work), name="cube-passing-on", daemon=True).start()
        while not wait([ended], timeout=LOOK).done:
            look(landing.arrived(self._connection, self._landing))
        ended.result()

    def _load(self) -> None:
        """Raises EngineError where the engine refuses it."""
        sizes = [parcel.size for parcel in self._freight.parcels]
        try:
            for begin, size in zip(accumulate(sizes, initial=0), sizes, strict=False):
                load = partial(landing.load, self._connection, self._landing, begin, size)
                self._attend(load, lambda _there: None)
        except LandingError as error:
            raise EngineError("the engine cannot load the image", why=error.why) from error
        delivery.conclude(self._cargo, self._hand.open_channel)


@contextmanager
def _dialled(hand: Hand) -> Iterator[Connection]:
    """A connection for one transfer: whatever hangs over it ends with it."""
    try:
        connection = hand.dial()
    except ConnectionFailed as failure:
        raise LandingError(
            f"{hand.node} cannot be reached to pass the image on", why=failure.what
        ) from failure
    with connection:
        yield connection


def _as_server(send: Callable[[], None]) -> None:
    """A server that is lost has failed, whoever else lives."""
    try:
        send()
    except ConnectionFailed as failure:
        raise LandingError(failure.what, why=failure.why) from failure


def _settle(ended: "Future[None]", work: Callable[[], None]) -> None:
    try:
        work()
        ended.set_result(None)
    except BaseException as error:  # noqa: BLE001 - it is raised again where it is awaited
        ended.set_exception(error)


def _told(error: CubeError) -> str:
    return ": ".join(filter(None, (error.what, error.why)))


def _clear(stands: Collection[tuple[Hand, Landing]]) -> None:
    """Nobody waits long for a node that is gone: another push takes away what stays there."""
    pool = ThreadPoolExecutor(max_workers=len(stands))
    wait([pool.submit(_clear_one, hand, place) for hand, place in stands], timeout=CLEARING)
    pool.shutdown(wait=False)


def _clear_one(hand: Hand, place: Landing) -> None:
    with suppress(CubeError):
        landing.clear(hand.connect(), place)
