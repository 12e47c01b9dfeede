"""The words of a job file: text to value, one function per kind, each with one clear refusal.

All raise ValueError with a text for a person; the schema adds where it stood.
"""

import difflib
import ipaddress
import re
from collections.abc import Callable
from typing import Literal

from cube.document.check import shown
from cube.errors import InputError
from cube.model import units
from cube.model.sftp import SCHEME, sftp_place

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,126}[A-Za-z0-9])?")
_DATACENTER = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,254}")
_USER = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]{0,31}|\d{1,9})(:([A-Za-z_][A-Za-z0-9_.-]{0,31}|\d{1,9}))?")
_RANGE = re.compile(r"(\d{1,5})-(\d{1,5})")
_URL_PATH = re.compile(r"/(?!/)[A-Za-z0-9._~!$&'()*+,;=:@%/?-]{0,511}")
_PARAMETER = re.compile(r"[a-z][a-z0-9_]{0,62}")
_STATUS = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")  # RFC 9110, section 5.6.2
_FIELD_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,1022}[\x21-\x7e])?")
_HOST = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?)*"
)
_SECRET = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_TEMPLATE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*){0,7}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

# distribution/reference: [registry[:port]/]path[:tag][@sha256:digest]
_IMAGE = re.compile(
    r"(?:(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*(?::\d{1,5})?)/)?"
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[a-f0-9]{64})?"
)

SIGNALS = (
    "SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGKILL", "SIGRTMIN+3",
)  # fmt: skip
CAPABILITIES = (
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "IPC_LOCK", "KILL", "LEASE", "MKNOD",
    "NET_ADMIN", "NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
    "SYS_NICE", "SYS_PTRACE",
)  # fmt: skip
"""Those that reach no further than the container's own namespaces."""
ULIMITS = (
    "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss",
    "rtprio", "rttime", "sigpending", "stack",
)  # fmt: skip
LOG_DRIVERS = (
    "json-file", "local", "journald", "syslog", "gelf", "fluentd", "awslogs", "splunk", "gcplogs", "none",
)  # fmt: skip
_REMOTE_CONTROL = {22: "SSH's", 2375: "Docker's", 2376: "Docker's"}
_RESERVED_JOBS = frozenset({"all", "cube"})
_RESERVED_LABELS = ("cube.", "com.docker.", "io.docker.", "org.dockerproject.")

_OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection"})

HostPort = int | tuple[int, int]
"""One port, or the range in which Cube chooses one."""
AUTO: tuple[int, int] = (20000, 29999)
Attempts = int | Literal["auto", "unlimited"]
"""How many; `auto`: as the type of the group has it."""


def name(text: str) -> str:
    """A name that can stand in a container's name and in a path."""
    if not _NAME.fullmatch(text):
        raise ValueError(
            f"{shown(text)} is no name; write 1 to 63 small letters, digits and '-', beginning with a letter"
        )
    return text


def job_name(text: str) -> str:
    """A name that is not kept for Cube itself."""
    if text in _RESERVED_JOBS or text.startswith("cube-"):
        raise ValueError(f"the name {shown(text)} is kept for Cube; choose another")
    return name(text)


def datacenter(text: str) -> str:
    """The name of a data centre, as inventories write it."""
    if not _DATACENTER.fullmatch(text):
        raise ValueError(f"{shown(text)} is no data centre; write letters, digits, '.', '_' and '-'")
    return text


def word(*allowed: str) -> Callable[[str], str]:
    """One of a few words."""

    def parse(text: str) -> str:
        if text in allowed:
            return text
        close = difflib.get_close_matches(text, allowed, n=1)
        advice = (
            f"did you mean '{close[0]}'?" if close else f"write {', '.join(allowed[:-1])} or {allowed[-1]}"
        )
        raise ValueError(f"{shown(text)} is not known here; {advice}")

    return parse


def boolean(text: str) -> bool:
    """`true` or `false`, and none of YAML's older words for them."""
    if text not in ("true", "false"):
        raise ValueError(f"write true or false, not {shown(text)}")
    return text == "true"


def whole(low: int, high: int) -> Callable[[str], int]:
    """A whole number within bounds."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", text) or not low <= int(text) <= high:
            raise ValueError(f"write a whole number from {low} to {high}, not {shown(text)}")
        return int(text)

    return parse


def cpu(text: str) -> int:
    """Millicores, 1 to 1024 cores."""
    return _within(units.cpu(text), 1, 1024_000, f"{shown(text)} of CPU is not between 1m and 1024")


def memory(text: str) -> int:
    """Bytes. The engine refuses less than 6 MiB."""
    amount = units.size(text)
    return _within(amount, 6 << 20, 64 << 40, f"{shown(text)} of memory is not between 6MiB and 64TiB")


def disk(text: str) -> int:
    """Bytes, from none."""
    return _within(units.size(text), 0, 1 << 50, f"{shown(text)} of disk is more than 1024TiB")


def duration(low: str, high: str) -> Callable[[str], float]:
    """Seconds within bounds, which are written as people write them."""

    def parse(text: str) -> float:
        seconds = units.duration(text)
        if not units.duration(low) <= seconds <= units.duration(high):
            raise ValueError(f"{shown(text)} is not between {low} and {high}")
        return seconds

    return parse


def image(text: str) -> str:
    """An image reference: `[registry/]path[:tag][@sha256:digest]`."""
    if "://" in text:
        raise ValueError(f"{shown(text)} is an address; write the image as registry.example/team/web:1.2")
    if "@" in text and not re.search(r"@sha256:[a-f0-9]{64}$", text):
        raise ValueError(f"the digest of {shown(text)} is not '@sha256:' and 64 hexadecimal digits")
    if len(text) > 512 or not _IMAGE.fullmatch(text):
        raise ValueError(f"{shown(text)} is no image; write name:tag or registry.example/team/name:tag")
    return text


def variable(text: str) -> str:
    """The name of an environment variable."""
    if not _VARIABLE.fullmatch(text):
        raise ValueError(f"{shown(text)} is no name of a variable; write letters, digits and '_'")
    return text


def bounded(limit: int) -> Callable[[str], str]:
    """Any text up to a length in characters; what it holds is never part of a message, it may be secret."""

    def parse(text: str) -> str:
        if len(text) > limit:
            raise ValueError(f"the text has {len(text)} characters; {limit} are allowed")
        if "\0" in text:
            raise ValueError("a text cannot hold the character NUL")
        return text

    return parse


def user(text: str) -> str:
    """`name` or number, with `:group` where wanted."""
    if not _USER.fullmatch(text):
        raise ValueError(f"{shown(text)} is no user; write a name or a number, or user:group")
    return text


def label(text: str) -> str:
    """A label's key that is neither Cube's nor Docker's own."""
    if text.lower().startswith(_RESERVED_LABELS):
        raise ValueError(f"labels such as {shown(text)} are kept for Cube and Docker; choose another prefix")
    if not _LABEL.fullmatch(text):
        raise ValueError(f"{shown(text)} is no label; write letters, digits, '.', '_', '-' and '/'")
    return text


def label_value(text: str) -> str:
    """One line of text."""
    if len(text) > 1024 or _CONTROL.search(text):
        raise ValueError("a label's value is one line of at most 1024 characters")
    return text


def host_port(text: str) -> HostPort:
    """`8080`, `auto`, or a range such as `20000-20999`."""
    if text == "auto":
        return AUTO
    if found := _RANGE.fullmatch(text):
        return _port_range(text, int(found[1]), int(found[2]))
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ValueError(
            f"{shown(text)} is no port of a node; write 1 to 65535, 'auto', or a range such as 20000-20999"
        )
    if owner := _REMOTE_CONTROL.get(int(text)):
        raise ValueError(f"port {text} is {owner} own on a node; choose another")
    return int(text)


def _port_range(text: str, low: int, high: int) -> HostPort:
    if not 1024 <= low <= high <= 65535:
        raise ValueError(f"the range {text} does not go up from 1024 or more to 65535 or less")
    if taken := [port for port in _REMOTE_CONTROL if low <= port <= high]:
        raise ValueError(f"the range {text} holds port {taken[0]}, {_REMOTE_CONTROL[taken[0]]} own on a node")
    return low, high


def url_path(text: str) -> str:
    """The path of an HTTP check, with its query."""
    if not _URL_PATH.fullmatch(text):
        raise ValueError(f"{shown(text)} is no path; write /health: no host, no blanks, up to 512 characters")
    return text


def status(text: str) -> tuple[int, int]:
    """The statuses of HTTP that are good: `200`, or the first and the last of a range, `200-399`."""
    found = _STATUS.fullmatch(text)
    low, high = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if low > high:
        raise ValueError(f"{shown(text)} is no status; write 200, or a range such as 200-399 within 100-599")
    return low, high


def header(text: str) -> str:
    """The name of a header that the request does not have by itself."""
    if text.lower() in _OWN_HEADERS:
        raise ValueError(f"the header {shown(text)} is Cube's own to write; remove it")
    if not _TOKEN.fullmatch(text):
        raise ValueError(f"{shown(text)} is no name of a header; write letters, digits and '-'")
    return text


def header_value(text: str) -> str:
    """What a header says; it may be secret, and is never part of a message."""
    if not _FIELD_VALUE.fullmatch(text):
        raise ValueError(
            "a header's value is one line of 1 to 1024 characters of ASCII, no blank at its ends"
        )
    return text


def body(text: str) -> str:
    """What an answer is to contain."""
    if not text:
        raise ValueError("an empty text is in every answer; write a part of it, or remove the key")
    return bounded(1024)(text)


def parameter(text: str) -> str:
    """A name that a dispatch gives a value to."""
    if not _PARAMETER.fullmatch(text):
        what = "write 1 to 63 small letters, digits and '_', beginning with a letter"
        raise ValueError(f"{shown(text)} is no name of a parameter; {what}")
    return text


def attempts(text: str) -> Attempts:
    """A number, `unlimited` or `auto`."""
    if text == "auto":
        return "auto"
    if text == "unlimited":
        return "unlimited"
    if not re.fullmatch(r"[0-9]{1,4}", text) or int(text) > 1000:
        raise ValueError(f"write a whole number from 0 to 1000, 'unlimited' or 'auto', not {shown(text)}")
    return int(text)


def signal(text: str) -> str:
    """A signal that ends or tells a process."""
    return word(*SIGNALS)(text)


def capability(text: str) -> str:
    """One that gives no hold over the node: with or without `CAP_`, in small letters or capitals."""
    name = text.upper().removeprefix("CAP_")
    if name in CAPABILITIES:
        return name
    close = difflib.get_close_matches(name, CAPABILITIES, n=1)
    advice = f"did you mean {close[0]}?" if close else "docs/jobs.md lists those that can"
    raise ValueError(f"{shown(text)} cannot be given, it could take over the node; {advice}")


def dropped_capability(text: str) -> str:
    """Any capability, or ALL."""
    name = text.upper().removeprefix("CAP_")
    if not re.fullmatch(r"[A-Z][A-Z_]{0,31}", name):
        raise ValueError(f"{shown(text)} is no capability; write one such as NET_RAW, or ALL")
    return name


def tmpfs_size(text: str) -> int:
    """Bytes, at least one page."""
    return _within(units.size(text), 4096, 1 << 44, f"{shown(text)} is not between 4KiB and 16TiB")


def mode(text: str) -> int:
    """Octal digits as `chmod` has them."""
    if not re.fullmatch(r"[0-7]{3,4}", text):
        raise ValueError(f"{shown(text)} is no mode; write octal digits such as 0750 or 1777")
    return int(text, 8)


def ulimit(text: str) -> tuple[int, int]:
    """`65536`, or the soft and the hard limit as `1024:65536`; `-1` or `unlimited`: any amount."""
    parts = [part.replace("unlimited", "-1") for part in text.split(":")]
    if len(parts) > 2 or not all(re.fullmatch(r"-1|[0-9]{1,18}", part) for part in parts):
        raise ValueError(f"{shown(text)} is no limit; write 65536, 1024:65536 or unlimited")
    soft, hard = int(parts[0]), int(parts[-1])
    if hard != -1 and (soft == -1 or soft > hard):
        raise ValueError(f"the soft limit of {shown(text)} is more than the hard one")
    return soft, hard


def ulimit_name(text: str) -> str:
    """What the kernel can limit of a process."""
    return word(*ULIMITS)(text)


def secret(text: str) -> str:
    """The name of a secret: also that of its file."""
    if not _SECRET.fullmatch(text):
        raise ValueError(
            f"{shown(text)} is no name of a secret; write 1 to 64 letters, digits, '_', '-' and '.', "
            "beginning with a letter"
        )
    return text


def template(text: str) -> str:
    """A file below the project's folder of templates."""
    if not _TEMPLATE.fullmatch(text) or ".." in text.split("/"):
        raise ValueError(f"{shown(text)} is no file below templates/; write one such as proxy/haproxy.cfg.j2")
    return text


def directory(text: str) -> str:
    """An absolute path within the container."""
    if not re.fullmatch(r"/[^\x00-\x1f\x7f]{0,1023}", text):
        raise ValueError(f"{shown(text)} is no absolute path")
    return text


def shelf(text: str) -> str:
    """Where archives are kept: an absolute path, or a place over SFTP."""
    if not text.startswith(SCHEME):
        return directory(text)
    try:
        return str(sftp_place(text))
    except InputError as error:
        raise ValueError(": ".join(part for part in (error.what, error.why) if part)) from error


def hostname(text: str) -> str:
    """What a machine may be called: RFC 1123."""
    if not _HOST.fullmatch(text):
        raise ValueError(f"{shown(text)} is no name of a host; write letters, digits, '-' and '.'")
    return text


def site(text: str) -> str:
    """A host that a request may ask for, in small letters."""
    return hostname(text).lower()


def site_path(text: str) -> str:
    """The path of a site, without a slash at its end; `/` is all of it."""
    if (
        not re.fullmatch(r"(/[A-Za-z0-9._~-]+){1,16}/?|/", text)
        or len(text) > 256
        or {".", ".."} & set(text.split("/"))
    ):
        raise ValueError(f"{shown(text)} is no path of a site; write / or one such as /shop/api")
    return text.rstrip("/") or "/"


def address(text: str) -> str:
    """An address of IPv4 or IPv6, or `host-gateway`, which is the node."""
    try:
        return text if text == "host-gateway" else str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(
            f"{shown(text)} is no address; write one such as 10.0.0.7, or host-gateway"
        ) from None


def group(text: str) -> str:
    """The name or number of a group of users."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}|[0-9]{1,9}", text):
        raise ValueError(f"{shown(text)} is no group; write a name or a number")
    return text


def log_driver(text: str) -> str:
    """One of the engine's that no plugin is needed for."""
    return word(*LOG_DRIVERS)(text)


def _within(amount: int, low: int, high: int, refusal: str) -> int:
    if not low <= amount <= high:
        raise ValueError(refusal)
    return amount
