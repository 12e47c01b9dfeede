"""Why a connection failed: one exception that carries its cause, and a cure for every cause."""

from typing import Self

from cube.errors import AuthenticityError, UnreachableError
from cube.model.observation import Cause

_CURES = {
    Cause.NAME: "check the address in the inventory; `getent hosts ADDRESS` shows what this machine resolves",
    Cause.REFUSED: "start sshd on the node, or correct the port in the inventory",
    Cause.TIMEOUT: "check that the node is up and that no firewall drops the packets",
    Cause.NO_ROUTE: "check the address, and this machine's own network",
    Cause.SILENT: "check that the port is sshd's; a node out of memory or frozen looks the same",
    Cause.THROTTLED: "raise MaxStartups in the node's sshd_config, or wait: OpenSSH also bars an address "
    "for a while after refused keys (PerSourcePenalties)",
    Cause.HOST_KEY: "if the node was reinstalled on purpose: `cube node trust NODE`; "
    "if not, somebody may be in between",
    Cause.NO_HOST_KEY: "`cube node trust NODE` shows the key's fingerprint and pins it",
    Cause.AUTHENTICATION: "add the public key to authorized_keys of that user, or name another key or user "
    "(ansible_user, ansible_ssh_private_key_file)",
    Cause.KEY_FILE: "name a readable private key with mode 0600, or load it into ssh-agent",
    Cause.LOST: "what was under way is unknown: look again",
    Cause.DOCKER_STOPPED: "start it on the node (`systemctl start docker`), or `cube node setup NODE`",
    Cause.DOCKER_PERMISSION: "`usermod -aG docker USER` on the node, then connect anew; or connect as root",
    Cause.STRANGE: "the login shell must let `sh` run: look for nologin, or a forced command "
    "in authorized_keys",
}


class ConnectionFailed(UnreachableError):  # noqa: N818 - it is a fact about the node, told by its cause
    """The node could not be reached, or the connection ended; `cause` says which. What ran is unknown."""

    def __init__(self, cause: Cause, *, where: str, what: str = "", why: str = "", cure: str = "") -> None:
        super().__init__(what or cause.value, where=where, why=why, cure=cure or _CURES.get(cause, ""))
        self.cause = cause

    def at(self, where: str) -> Self:
        """The same failure, met anew elsewhere."""
        return type(self)(self.cause, where=where, what=self.what, why=self.why, cure=self.cure)


class HostKeyRefused(ConnectionFailed, AuthenticityError):  # noqa: N818 - as its parent
    """The host showed a key that is not the pinned one, or none is pinned; no credential was sent."""


class ChannelRefused(ConnectionFailed):
    """The node refused one channel: nothing listens there, or it may not be opened. The connection stands."""
