"""A fleet of both kinds: one node that keeps images as Docker long did, two that keep them in containerd."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from docker import DockerClient

from cube.lab.fleet import Lab, LabSpec
from cube.lab.lab import down, up


@pytest.fixture(scope="session")
def lab(engine: DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Node 1 is a Debian 12, nodes 2 and 3 are a Debian 13."""
    name = f"containerd-{os.getpid()}"
    spec = LabSpec(name=name, nodes=1, inventory=tmp_path_factory.mktemp("lab") / f"{name}.yml")
    cache = Path.home() / ".cache" / "cube"
    try:
        up(engine, spec, cache=cache, say=print)
        yield up(engine, replace(spec, nodes=3, debian="13"), cache=cache, say=print)
    finally:
        down(engine, name)
