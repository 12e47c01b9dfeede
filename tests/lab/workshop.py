"""A workshop: the operator's engine, on which tests make the images that they bring to nodes."""

from dataclasses import dataclass

from docker import DockerClient

from tests.imagery import image


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """The operator's engine, on which images are made; `base` is the layer of the nodes' demo images."""

    engine: DockerClient
    base: bytes
    name: str

    def make(self, tag: str, *layers: bytes, **config: object) -> str:
        """An image over the base; its name."""
        name = f"{self.name}:{tag}"
        config = {"Cmd": ["/bin/sleep", "100000"], "Env": ["PATH=/bin"], **config}
        self.engine.images.load(image(name, (self.base, *layers), **config))
        return name

    def id_of(self, name: str) -> str:
        found = self.engine.images.get(name).id
        assert found is not None
        return found
