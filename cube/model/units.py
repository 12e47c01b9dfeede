"""What people write for an amount, as numbers: `500m`, `512MiB`, `1h30m`.

Raises ValueError with a text for a person; who calls adds where it stood.
"""

import re

_CPU = re.compile(r"(\d{1,6})(?:\.(\d{1,3}))?", re.ASCII)
_MILLICPU = re.compile(r"(\d{1,9})m", re.ASCII)
_FACTOR = re.compile(r"\d{1,3}(\.\d{1,3})?", re.ASCII)
_SIZE = re.compile(r"(\d{1,18})(?:\.(\d{1,9}))? ?([A-Za-z]*)", re.ASCII)
_DURATION = re.compile(
    r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9}(?:\.\d{1,6})?)s)?(?:(\d{1,9})ms)?",
    re.ASCII,
)
_BYTES = {
    "": 1, "B": 1,
    "k": 10**3, "kB": 10**3, "K": 10**3, "KB": 10**3, "Ki": 2**10, "KiB": 2**10,
    "M": 10**6, "MB": 10**6, "Mi": 2**20, "MiB": 2**20,
    "G": 10**9, "GB": 10**9, "Gi": 2**30, "GiB": 2**30,
    "T": 10**12, "TB": 10**12, "Ti": 2**40, "TiB": 2**40,
}  # fmt: skip
_SECONDS = (86400.0, 3600.0, 60.0, 1.0, 0.001)
_MAX_BYTES = 2**60


def cpu(text: str) -> int:
    """Millicores of `500m`, `0.5` or `2`."""
    if found := _MILLICPU.fullmatch(text):
        return int(found[1])
    if found := _CPU.fullmatch(text):
        return int(found[1]) * 1000 + int((found[2] or "").ljust(3, "0"))
    raise ValueError(f"'{text}' is no amount of CPU; write cores as 0.5 or 2, or millicores as 500m")


def size(text: str) -> int:
    """Bytes of `512MiB` (1024 based), `512MB` or `512M` (1000 based) or `1048576`."""
    found = _SIZE.fullmatch(text)
    if not found or found[3] not in _BYTES:
        raise ValueError(f"'{text}' is no size; write 512MiB, 10GiB, 500MB or a number of bytes")
    unit, billionths = _BYTES[found[3]], (found[2] or "").ljust(9, "0")
    amount = int(found[1]) * unit + int(billionths) * unit // 10**9
    if amount > _MAX_BYTES:
        raise ValueError(f"'{text}' is more than any machine has")
    return amount


def duration(text: str) -> float:
    """Seconds of `10s`, `5m`, `1h30m`, `2d` or `250ms`."""
    found = _DURATION.fullmatch(text)
    if not found or not text:
        raise ValueError(f"'{text}' is no duration; write 10s, 5m, 1h30m or 250ms")
    return sum(float(part) * unit for part, unit in zip(found.groups("0"), _SECONDS, strict=True))


def factor(text: str) -> float:
    """How many times something is there: `2` or `1.5`, from 1 to 100."""
    if not _FACTOR.fullmatch(text) or not 1 <= float(text) <= 100:
        raise ValueError(f"'{text}' is no factor; write a number from 1 to 100, such as 1.5")
    return float(text)
