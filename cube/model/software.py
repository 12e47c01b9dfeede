"""What runs on a machine below its tasks, as a look shows it, and by which names constraints ask for it."""

import re

KERNEL = "node.kernel"
OS = "node.os"
OS_VERSION = "node.os_version"
DOCKER = "node.docker"

_RELEASE = re.compile(r"\d{1,9}(\.\d{1,9}){0,5}", re.ASCII)


def release(text: str) -> str:
    """The numbers that a version begins with: `5.10.0` of `5.10.0-8-amd64`, `20.10.24` of `20.10.24+dfsg1`.

    What a distribution adds says nothing of which is newer. Empty where it begins with none.
    """
    found = _RELEASE.match(text)
    return found[0] if found else ""
