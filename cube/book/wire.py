"""What is the book's own on the wire: where its clients ask, and how they are told that they failed."""

import json

from cube.errors import CubeError


def is_of_the_book(path: str) -> bool:
    """The path speaks the book's format."""
    return path.split("/")[1:2] in (["tasks"], ["nodes"])


def error_text(status: int, error: CubeError) -> str:
    """The error in the book's words."""
    return json.dumps({"HTTPStatusCode": int(status), "Message": " ".join(str(error).split())})
