"""What an engine says no with, or falls silent with, while something is done to it through the docker SDK."""

import requests
import urllib3.exceptions
from docker.errors import APIError, StreamParseError

from cube.errors import CubeError

# What is read from a stream, as a pull is, breaks with urllib3's own errors, which requests does not wrap.
BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError, StreamParseError, OSError, EOFError)


class EffectRefusedError(CubeError):
    """The effect is refused, by us or by the engine, for a reason that a person should read."""


def explanation(error: APIError) -> str:
    """In the engine's own words."""
    return str(error.explanation or error)
