"""What machines are called by those who build images for them."""

from collections.abc import Mapping

ARCHITECTURE = "node.architecture"
"""Under which name constraints ask for it."""

_NAMES: Mapping[str, str] = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv8l": "arm64",
    "armv7l": "arm",
    "armv6l": "arm",
    "i386": "386",
    "i686": "386",
}


def architecture(machine: str) -> str:
    """`amd64` of `x86_64`, as Docker has it; what `uname -m` calls alike stays, empty means unknown."""
    return _NAMES.get(machine, machine)
