"""Reading a machine: what the probe's answers mean, from answers that machines gave."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube.model.codec import to_data
from cube.model.observation import CpuTimes
from cube.worker import probe

CASES = Path(__file__).parent / "cases" / "probe"
AT = 1795233548.0


def answer(name: str) -> bytes:
    return (CASES / f"{name}.txt").read_bytes()


@pytest.mark.parametrize("case", sorted(CASES.glob("*.json")), ids=lambda case: case.stem)
def test_an_answer_is_read_whole(case: Path) -> None:
    assert to_data(probe.parse(answer(case.stem), at=AT)) == json.loads(case.read_text())


@pytest.mark.parametrize(
    ("name", "what", "why"),
    [
        ("cut_short", "cut short", "begins with"),
        ("nologin", "did not run", "not available"),
        ("no_meminfo", "cannot be read", "/proc/meminfo"),
        ("no_disk", "cannot be read", "unpack"),
    ],
)
def test_what_is_missing_is_an_error_and_never_a_zero(name: str, what: str, why: str) -> None:
    """P3: unknown is not absent."""
    with pytest.raises(probe.StrangeAnswerError) as failure:
        probe.parse(answer(name), at=AT)
    assert what in failure.value.what
    assert why in failure.value.why


@given(st.integers(min_value=0))
def test_an_answer_cut_anywhere_is_an_error(cut: int) -> None:
    """P3: a shorter answer is no smaller machine."""
    whole = answer("debian12").rstrip(b"\n")
    with pytest.raises(probe.StrangeAnswerError):
        probe.parse(whole[: cut % len(whole)], at=AT)


@given(st.integers(min_value=0), st.binary(max_size=3))
def test_a_line_that_is_another_is_read_or_an_error(number: int, begins: bytes) -> None:
    """P2: whatever one machine answers, it is that machine's trouble alone."""
    lines = answer("debian12").splitlines(keepends=True)
    number %= len(lines)
    source, colon, content = lines[number].partition(b":")
    lines[number] = source + colon + begins + content[3:]
    with suppress(probe.StrangeAnswerError):
        probe.parse(b"".join(lines), at=AT)


def test_iowait_is_idle_and_guest_time_is_not_counted_twice() -> None:
    whole = answer("debian12")
    line = next(line for line in whole.splitlines() if line.startswith(b"/proc/stat:cpu "))
    guests = whole.replace(line, b"/proc/stat:cpu 100 10 50 800 40 1 2 3 90 9")
    assert probe.parse(guests, at=AT).stats.cpu == CpuTimes(total=1006, idle=840)


def test_the_script_has_no_place_for_a_byte_from_outside() -> None:
    """P16: no shell. The script is one constant."""
    assert "{" not in probe.SCRIPT


@pytest.mark.parametrize(
    ("machine", "name"),
    [("x86_64", "amd64"), ("aarch64", "arm64"), ("armv7l", "arm"), ("riscv64", "riscv64"), ("", "")],
)
def test_a_machine_is_called_as_images_call_it(machine: str, name: str) -> None:
    said = answer("debian12").replace(b"machine:x86_64", f"machine:{machine}".encode())
    assert probe.parse(said, at=AT).stats.architecture == name


def test_the_system_below_is_told_by_its_release_and_its_name_in_quotes_or_not() -> None:
    more = b"/proc/sys/kernel/osrelease:6.1.0-18-amd64\n/etc/os-release:ID=debian\n"
    more += b'/etc/os-release:VERSION_ID="12"\n'
    stats = probe.parse(answer("debian12").replace(b"machine:", more + b"machine:"), at=AT).stats
    assert (stats.kernel, stats.os, stats.os_version) == ("6.1.0", "debian", "12")
    before = probe.parse(answer("debian12"), at=AT).stats
    assert (before.kernel, before.os, before.os_version) == ("", "", "")
