"""paramiko, imported without what Cube never uses.

paramiko imports invoke (40 ms) for nothing but `Match exec` in an ssh_config, which Cube never executes.
Hidden from it for the time of the import, invoke stays out. And paramiko logs what it also raises: without
a handler Python would print that to stderr.
"""

import logging
import sys

_hidden = "invoke" not in sys.modules
if _hidden:
    sys.modules["invoke"] = None  # type: ignore[assignment]
try:
    import paramiko
finally:
    if _hidden:
        del sys.modules["invoke"]

logging.getLogger("paramiko").addHandler(logging.NullHandler())

__all__ = ["paramiko"]
