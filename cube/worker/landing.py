"""One node among those that pass an image on: where it keeps what it was sent, and who may send it more.

A node lets another one in for one transfer: a line in its login's authorized_keys has a key that was made for
this, may do nothing but write so many bytes into one file, and is worth nothing a minute later. The private
half stays in this process's memory. Nothing reads that file before its bytes are those that were meant.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from cube.connection import Answer, after
from cube.connection.agent import Agent
from cube.connection.known_hosts import HostKey
from cube.connection.ssh import Connection
from cube.errors import CubeError

PATIENCE = 10.0
"""Seconds for what a node does for a transfer, but for the bytes."""

ENGINE = 60.0
"""Seconds for what its engine does, but for the bytes."""

LETS_IN = 60
"""Seconds in which the other node must have begun."""

LONGEST = 1800
"""Seconds that a transfer may take at most."""

HASHED, LOADED = 4 << 20, 1 << 20
"""Bytes a second that a node hashes, and that its engine loads, at the least."""

NO_PROGRAM, NO_ADDRESS, NO_PLACE, NO_AGENT = 40, 41, 42, 43

_HEAD = """\
set -eu
PATH=$PATH:/usr/sbin:/sbin
umask 077
"""

_STAGE = f"""\
{_HEAD}
IFS= read -r stage
case "$stage" in /var/tmp/cube-push-*) ;; *) exit {NO_PLACE} ;; esac
case "${{stage#/var/tmp/cube-push-}}" in ""|*[!0-9A-Za-z]*) exit {NO_PLACE} ;; esac
"""
# `tidy` ends who still reads or writes in our folder, and takes our line out of authorized_keys, and those of
# pushes that were killed. The file is replaced as a whole, and only where it has such a line: nobody is ever
# locked out by half a file.
_TIDY = """\
keys=$(readlink -f "$HOME/.ssh/authorized_keys")
tidy() {
  pkill -f "$stage/" || true
  grep -qs '^restrict,expiry-time=.* cube-push-[0-9A-Za-z]* [0-9]*$' "$keys" || return 0
  exec 9<"${keys%/*}"
  flock -w 5 9
  new=$(mktemp "$keys.XXXXXXXX")
  trap 'rm -f "$new"' EXIT
  cp -p "$keys" "$new"
  awk -v now="$(date +%s)" -v ours="${stage##*/}" '
    /^restrict,expiry-time=/ && $(NF - 1) ~ /^cube-push-[0-9A-Za-z]+$/ && $NF ~ /^[0-9]+$/ &&
      ($(NF - 1) == ours || $NF < now) { next }
    { print }' "$keys" >"$new"
  sync "$new"
  mv -f "$new" "$keys"
  exec 9<&-
}
"""

PREPARE = f"""\
{_HEAD}
for program in ssh docker sha256sum flock timeout dd awk; do
  command -v "$program" >/dev/null || {{ echo "$program"; exit {NO_PROGRAM}; }}
done
set -- ${{SSH_CONNECTION:-}}
[ "$#" = 4 ] || exit {NO_ADDRESS}
find /var/tmp -maxdepth 1 -type d -user "$(id -u)" -name 'cube-push-*' -mtime +0 -exec rm -rf {{}} +
stage=$(mktemp -d /var/tmp/cube-push-XXXXXXXXXX)
{_TIDY}
tidy
printf '%s\\n' "$stage" "$(id -un)" "$3" "$4"
"""

ADMIT = f"""\
{_STAGE}
{_TIDY}
IFS= read -r size
IFS= read -r key
case "$size" in ""|*[!0-9]*) exit {NO_PLACE} ;; esac
case "$key" in ""|*[!0-9A-Za-z+/=\\ -]*) exit {NO_PLACE} ;; esac
until=$(($(date +%s) + {LETS_IN}))
expiry=$(env -u TZ date -d "@$until" +%Y%m%d%H%M%S)
receive="exec timeout {LONGEST} dd of=$stage/stream bs=256k count=$size status=none"
receive="$receive iflag=fullblock,count_bytes"
[ -d "${{keys%/*}}" ] || mkdir -p "${{keys%/*}}"
exec 9<"${{keys%/*}}"
flock -w 5 9
[ ! -s "$keys" ] || [ -z "$(tail -c 1 "$keys")" ] || echo >>"$keys"
printf 'restrict,expiry-time="%s",command="%s" %s %s\\n' \\
  "$expiry" "$receive" "$key" "${{stage##*/}} $until" >>"$keys"
"""

RECEIVE = f'{_STAGE}\nexec dd of="$stage/stream" bs=256k iflag=fullblock status=none\n'

SERVE = f"""\
{_STAGE}
IFS= read -r size
IFS= read -r user
IFS= read -r address
IFS= read -r port
IFS= read -r host_key
case "$user" in ""|-*) exit {NO_PLACE} ;; esac
[ -S "${{SSH_AUTH_SOCK:-}}" ] || exit {NO_AGENT}
printf 'cube-push %s\\n' "$host_key" >"$stage/known_hosts"
tail -c "$size" "$stage/stream" | timeout {LONGEST} ssh -F /dev/null -T -x -a \\
  -o HostKeyAlias=cube-push -o StrictHostKeyChecking=yes -o UserKnownHostsFile="$stage/known_hosts" \\
  -o GlobalKnownHostsFile=/dev/null -o CheckHostIP=no -o UpdateHostKeys=no -o BatchMode=yes \\
  -o PreferredAuthentications=publickey -o IdentityFile=none -o ControlPath=none -o LogLevel=ERROR \\
  -o ConnectTimeout=5 -o ServerAliveInterval=5 -o ServerAliveCountMax=2 \\
  -p "$port" -l "$user" -- "$address" true
"""

ARRIVED = f"""\
{_STAGE}
stat -c %s "$stage/stream" 2>/dev/null || echo 0
"""

CLOSE = f"""\
{_STAGE}
{_TIDY}
tidy
"""

DIGEST = f"""\
{_STAGE}
sha256sum <"$stage/stream"
"""

LOAD = f"""\
{_STAGE}
IFS= read -r begin
IFS= read -r size
case "$begin$size" in ""|*[!0-9]*) exit {NO_PLACE} ;; esac
tail -c "+$((begin + 1))" "$stage/stream" | head -c "$size" | docker -H unix:///var/run/docker.sock load -q
"""

CLEAR = f"""\
{CLOSE}
rm -rf "$stage"
"""

_REASONS = {
    NO_ADDRESS: "its sshd does not say where it was reached",
    NO_AGENT: "its sshd forbids to forward an agent (AllowAgentForwarding)",
}

_PLACE = re.compile(r"/var/tmp/cube-push-[0-9A-Za-z]+")  # noqa: S108 - made anew, for one login alone
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9._-]*\$?")


class LandingError(CubeError):
    """The node does not do its part; it can be sent the image directly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """A node that takes part: its folder for what arrives, and how other nodes reach its login.

    `address` and `port` are where its own sshd was reached, which is right among nodes also where a gateway
    shows others to us.
    """

    stage: str
    user: str
    address: str
    port: int
    host_key: HostKey


def prepare(connection: Connection) -> Landing:
    """A folder for what is to arrive. Raises ConnectionFailed, LandingError where the node takes no part."""
    answer = connection.run(PREPARE, deadline=after(PATIENCE))
    words = answer.stdout.decode("utf-8", "replace").splitlines()
    if answer.exit_status == NO_PROGRAM:
        raise LandingError(f"{connection.name} has no {' '.join(words)}")
    _check(answer, f"{connection.name} cannot be sent an image by other nodes")
    try:
        stage, user, address, port = words
        return Landing(
            stage=_matching(_PLACE, stage),
            user=_matching(_USER, user),
            address=str(ipaddress.ip_address(address)),
            port=int(port),
            host_key=connection.host_key,
        )
    except ValueError as error:
        raise _strange(connection, error) from error


def _matching(pattern: re.Pattern[str], text: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(text)
    return text


def admit(connection: Connection, landing: Landing, size: int, agent: Agent) -> None:
    """Let in whoever has the agent's key, to write that many bytes, once and soon."""
    _run(connection, ADMIT, (landing.stage, str(size), agent.public))


def close(connection: Connection, landing: Landing) -> None:
    """Let nobody in any more, and end who still writes."""
    _run(connection, CLOSE, (landing.stage,))


def serve(connection: Connection, landing: Landing, to: Landing, size: int, agent: Agent) -> None:
    """Have the node send the last `size` bytes that it has to the other node. Raises LandingError."""
    words = (landing.stage, str(size), to.user, to.address, str(to.port), str(to.host_key))
    answer = connection.run(SERVE, stdin=_lines(words), agent=agent, deadline=after(LONGEST))
    _check(answer, f"{connection.name} cannot send the image to {to.address}")


def receive(connection: Connection, landing: Landing, pieces: Iterable[bytes]) -> None:
    """Send all those bytes there from here. Raises LandingError."""
    lines = _lines((landing.stage,))
    answer = connection.feed(RECEIVE, chain((lines,), pieces), deadline=after(LONGEST))
    _check(answer, f"{connection.name} cannot keep what it is sent")


def arrived(connection: Connection, landing: Landing) -> int:
    """How many bytes are there."""
    told = _run(connection, ARRIVED, (landing.stage,))
    try:
        return int(told)
    except ValueError as error:
        raise _strange(connection, error) from error


def digest(connection: Connection, landing: Landing, size: int) -> str:
    """The SHA-256 of what is there, in hex."""
    told = _run(connection, DIGEST, (landing.stage,), PATIENCE + size / HASHED)
    return told.partition(b" ")[0].decode("ascii", "replace")


def load(connection: Connection, landing: Landing, begin: int, size: int) -> None:
    """Have the node's engine load an archive of that size, from that place on."""
    _run(connection, LOAD, (landing.stage, str(begin), str(size)), ENGINE + size / LOADED)


def clear(connection: Connection, landing: Landing) -> None:
    """Leave nothing behind."""
    _run(connection, CLEAR, (landing.stage,))


def _run(connection: Connection, script: str, words: Iterable[str], seconds: float = PATIENCE) -> bytes:
    """Raises LandingError where the script fails, ConnectionFailed."""
    answer = connection.run(script, stdin=_lines(words), deadline=after(seconds))
    _check(answer, f"{connection.name} cannot take part in passing the image on")
    return answer.stdout


def _lines(words: Iterable[str]) -> bytes:
    return "".join(f"{word}\n" for word in words).encode()


def _check(answer: Answer, what: str) -> None:
    """Raises LandingError where the script has failed."""
    if answer.exit_status:
        said = answer.stderr[-300:].decode("utf-8", "replace").strip()
        why = _REASONS.get(answer.exit_status) or said or f"it exited with {answer.exit_status}"
        raise LandingError(what, why=why)


def _strange(connection: Connection, error: ValueError) -> LandingError:
    return LandingError(f"{connection.name} says strange things of itself", why=str(error))
