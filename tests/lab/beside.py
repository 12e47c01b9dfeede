"""Watching from beside, past Cube: how many replicas serve at every moment, and a load that they carry."""

import http.client
import json
import ssl
import subprocess
import threading
import time  # noqa: TID251 - real nodes take real time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from tests.lab.desk import Desk

PAUSE = 0.05
"""Seconds between two looks at an engine."""

# Asks the node's engine for what runs, and each of these for its health; prints when, and how many serve.
_WATCH = r"""
use strict; use IO::Socket::UNIX; use IO::Socket::INET; use Time::HiRes qw(time sleep); $| = 1;
sub ask {
    my ($s, $path) = @_;
    return "" unless $s;
    local $/;
    print $s "GET $path HTTP/1.0\r\n\r\n";
    return <$s> // "";
}
while (1) {
    my $at = time;
    my $told = ask(IO::Socket::UNIX->new("/var/run/docker.sock"), "/containers/json");
    my %ports = map { $_ => 1 } $told =~ /"PublicPort":(\d+)/g;
    my $well = grep {
        ask(IO::Socket::INET->new(PeerAddr => "127.0.0.1:$_", Timeout => 1), "/health") =~ m{^HTTP/1.1 200}
    } keys %ports;
    print "$at $well\n";
    sleep PAUSE;
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """What was seen of each node: when (seconds since the epoch), and how many replicas served."""

    by_node: dict[str, list[tuple[float, int]]] = field(default_factory=dict)

    def fewest(self) -> int:
        """How many served on all nodes together, at the worst moment that was seen."""
        newest: dict[str, int] = {}
        totals = []
        every = [(at, node, well) for node, looks in self.by_node.items() for at, well in looks]
        for _, node, well in sorted(every):
            newest[node] = well
            if len(newest) == len(self.by_node):
                totals.append(sum(newest.values()))
        return min(totals)

    def longest_gap(self) -> float:
        """The most seconds between two looks at one node."""
        return max(
            later - earlier for looks in self.by_node.values() for (earlier, _), (later, _) in pairwise(looks)
        )


@contextmanager
def watched(desk: Desk) -> Iterator[Looks]:
    """Look at every engine all the time; what was seen is there at the end."""
    looks = Looks()
    script = _WATCH.replace("PAUSE", str(PAUSE))
    watchers = {
        node.name: subprocess.Popen(
            ["docker", "exec", node.container, "timeout", "100", "perl", "-e", script],
            stdout=subprocess.PIPE,
            text=True,
        )
        for node in desk.nodes
    }
    try:
        for watcher in watchers.values():
            assert watcher.stdout is not None
            watcher.stdout.readline()
        yield looks
    finally:
        for number, (name, watcher) in enumerate(watchers.items()):
            desk.on(number, "pkill", "-x", "perl")
            looks.by_node[name] = [_look(line) for line in watcher.communicate(timeout=20)[0].splitlines()]


def _look(line: str) -> tuple[float, int]:
    at, well = line.split()
    return float(at), int(well)


@dataclass(slots=True, kw_only=True)
class Load:
    """What the clients met: requests; those that the first replica did not answer; those that none did."""

    requests: int = 0
    turned_away: int = 0
    lost: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


@contextmanager
def under_load(desk: Desk, job: str, *, clients: int = 4, pause: float = 0.02) -> Iterator[Load]:
    """Clients that ask the job's replicas in turn, wherever `cube status` says that they are."""
    load, over, alone = Load(), threading.Event(), threading.Lock()
    known = [_replicas(desk, job)]

    def learn() -> None:
        while not over.wait(1):
            known[0] = _replicas(desk, job) or known[0]

    def ask() -> None:
        number = 0
        while not over.wait(pause):
            number += 1
            tries = _tries(known[0], number)
            with alone:
                load.requests += 1
                load.turned_away += tries != 1
                load.lost += tries == 0

    threads = [threading.Thread(target=learn), *(threading.Thread(target=ask) for _ in range(clients))]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        over.set()
        for thread in threads:
            thread.join()
        load.seconds = time.monotonic() - begun


@dataclass(slots=True, kw_only=True)
class Answers:
    """What came of requests at a constant rate: how many were answered well, and what the others met."""

    good: int = 0
    bad: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Requests per second."""
        return (self.good + len(self.bad)) / self.seconds


NEW, KEPT, BOTH = (False,), (True,), (False, True)
"""Whether clients keep their connections."""


@contextmanager
def constantly_asked(
    places: Sequence[tuple[str, int]],
    *,
    clients: int = 10,
    each: float = 25.0,
    kept: Sequence[bool] = BOTH,
    trusting: ssl.SSLContext | None = None,
) -> Iterator[Answers]:
    """Clients that ask so many times a second; `kept`: whether each in turn keeps its connection.

    `trusting`: they ask over TLS, and a certificate that is not to be trusted is no good answer.
    """
    answers, over, alone = Answers(), threading.Event(), threading.Lock()

    def ask(number: int) -> None:
        address, port = places[number // 2 % len(places)]
        connection = (
            http.client.HTTPSConnection(address, port, timeout=10, context=trusting)
            if trusting
            else http.client.HTTPConnection(address, port, timeout=10)
        )
        headers = {} if kept[number % len(kept)] else {"Connection": "close"}
        due = time.monotonic()
        while not over.is_set():
            due += 1 / each
            met = _met(connection, headers)
            with alone:
                answers.good += not met
                answers.bad += [met] if met else []
            over.wait(max(due - time.monotonic(), 0.0))
        connection.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        over.set()
        for thread in threads:
            thread.join()
        answers.seconds = time.monotonic() - begun


def _met(connection: http.client.HTTPConnection, headers: dict[str, str]) -> str:
    """What is wrong with the answer to one request; empty: nothing."""
    try:
        connection.request("GET", "/", headers=headers)
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return repr(error)
    return "" if answer.status == http.client.OK else str(answer.status)


def _replicas(desk: Desk, job: str) -> Sequence[tuple[str, int]]:
    """Address and port of each replica that runs, as Cube tells."""
    told = subprocess.run(
        desk.command("status", job, "-o", "json"), cwd=desk.folder, capture_output=True, text=True, check=True
    )
    addresses = {node.name: node.address for node in desk.nodes}
    return [
        (addresses[row["node"]], int(row["ports"].partition("=")[2]))
        for row in json.loads(told.stdout)
        if row["state"] == "Running"
    ]


def _tries(replicas: Sequence[tuple[str, int]], first: int) -> int:
    """How many were asked, one after the other as a proxy would, until one answered; 0: none did."""
    for number in range(len(replicas)):
        if _answers(*replicas[(first + number) % len(replicas)]):
            return number + 1
    return 0


def _answers(address: str, port: int) -> bool:
    connection = http.client.HTTPConnection(address, port, timeout=5)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        return False
    else:
        return answer.status == http.client.OK
    finally:
        connection.close()
