"""Making a bare Debian or Ubuntu machine a node: the distribution's own Docker, by one fixed script."""

from cube.connection import after
from cube.connection.ssh import Connection
from cube.errors import CubeError

PATIENCE = 900.0
"""Seconds. Forty packages over a slow line, unpacked on a slow disk."""

UNSUPPORTED, NO_SUDO, NOT_STARTED = 20, 21, 22

# Repeating it is harmless: what is there already is left as it is.
SCRIPT = f"""\
set -eu
PATH=$PATH:/usr/sbin:/sbin
as_root=
if [ "$(id -u)" != 0 ]; then
  sudo -n true 2>/dev/null || exit {NO_SUDO}
  as_root="sudo -n"
fi
if ! command -v dockerd >/dev/null; then
  [ -r /etc/os-release ] && . /etc/os-release
  case " ${{ID:-}} ${{ID_LIKE:-}} " in *" debian "*|*" ubuntu "*) ;; *) exit {UNSUPPORTED} ;; esac
  $as_root apt-get update -q
  $as_root env DEBIAN_FRONTEND=noninteractive \\
    apt-get install -q -y --no-install-recommends docker.io iptables ca-certificates
fi
if [ "$(id -u)" != 0 ]; then $as_root usermod -aG docker "$(id -un)"; fi
if ! $as_root docker version >/dev/null 2>&1; then
  if [ -d /run/systemd/system ]; then $as_root systemctl enable --now docker
  else
    # No service manager, as in a container: its old init script may fail on limits that it may not raise.
    $as_root service docker start >/dev/null 2>&1 ||
      $as_root setsid sh -c 'exec dockerd >>/var/log/docker.log 2>&1' </dev/null >/dev/null 2>&1 &
  fi
fi
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  if $as_root docker version >/dev/null 2>&1; then exit 0; fi
  sleep 1
done
exit {NOT_STARTED}
"""

_REASONS = {
    UNSUPPORTED: (
        "it is neither Debian nor Ubuntu",
        "Install Docker 19.03 or newer by the means of its system, then: cube node check",
    ),
    NO_SUDO: (
        "the user is not root and has no passwordless sudo",
        "Log in as root (ansible_user), or give the user sudo without a password.",
    ),
    NOT_STARTED: ("Docker is installed and does not start", "Look on the node: journalctl -u docker"),
}


def install_docker(connection: Connection) -> None:
    """Make Docker installed and running, and usable by the user. Raises CubeError with what went wrong.

    A user who was put into the docker group is in it from the next connection on.
    """
    answer = connection.run(SCRIPT, deadline=after(PATIENCE))
    if answer.exit_status == 0:
        return
    last_lines = (answer.stdout + answer.stderr).decode("utf-8", "replace").splitlines()[-10:]
    why, cure = _REASONS.get(
        answer.exit_status,
        ("its last lines:\n  " + "\n  ".join(last_lines), "Repeat it once that is mended."),
    )
    raise CubeError("Docker could not be set up", where=connection.name, why=why, cure=cure)
