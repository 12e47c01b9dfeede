"""Why a node, or its engine, did not answer, and what to do about it."""

from cube.connection import ChannelRefused, ConnectionFailed
from cube.errors import CubeError
from cube.model.observation import Cause, Unknown
from cube.worker import engine, probe


def unknown(node: str, error: CubeError, machine: probe.Machine | None, now: float) -> Unknown:
    """Why nothing is known of the node's containers; its stats where they came."""
    cause, cure = cause_of(error, machine)
    return Unknown(
        node=node,
        at=now,
        cause=cause,
        why=error.why or error.what,
        cure=cure,
        stats=None if machine is None else machine.stats,
    )


def cause_of(error: CubeError, machine: probe.Machine | None) -> tuple[Cause, str]:
    """Why a node did not answer, and what to do; `machine` is what it had said of itself before."""
    if machine is not None and isinstance(error, ChannelRefused):
        cause = _why_no_engine(machine)
    elif isinstance(error, ConnectionFailed):
        cause = error.cause
    else:
        cause = Cause.DOCKER_SILENT if isinstance(error, engine.EngineSilentError) else Cause.STRANGE
    return cause, _ENGINE_CURES.get(cause, error.cure)


def _why_no_engine(machine: probe.Machine) -> Cause:
    """The SSH server says no more than that it could not open the socket; the probe has looked why."""
    if not machine.socket_exists:
        return Cause.DOCKER_STOPPED if machine.docker_installed else Cause.NO_DOCKER
    return Cause.DOCKER_STOPPED if machine.socket_writable else Cause.DOCKER_PERMISSION


_ENGINE_CURES = {
    Cause.NO_DOCKER: "Install Docker: cube node setup NODE",
    Cause.DOCKER_STOPPED: "Start it on the node: systemctl start docker",
    Cause.DOCKER_PERMISSION: "Add the user to the docker group (usermod -aG docker USER), or log in as root.",
    Cause.DOCKER_SILENT: "The engine is stuck: look at `journalctl -u docker`, then restart it.",
}
