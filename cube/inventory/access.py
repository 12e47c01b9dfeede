"""From Ansible's connection variables to how Cube reaches each host."""

from collections.abc import Callable
from dataclasses import replace

from cube.errors import InputError
from cube.inventory import grammar
from cube.inventory.scope import Scope, Setting
from cube.inventory.ssh_options import MAX_JUMPS, SshOptions, parse_options
from cube.model.node import Access, Hop

# Of several names for one thing the last that is set wins, as with Ansible's ssh connection.
_ADDRESS = ("ansible_host", "ansible_ssh_host")
_PORT = ("ansible_port", "ansible_ssh_port")
_USER = ("ansible_user", "ansible_ssh_user")
_KEY_FILE = ("ansible_private_key_file", "ansible_ssh_private_key_file")
_ARGUMENTS = ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")
_SSH = frozenset(
    {"ssh", "smart", "paramiko", "paramiko_ssh", "ansible.builtin.ssh", "ansible.builtin.paramiko_ssh"}
)


class Roads:
    """The way to every host; a jump host that is in the inventory is reached as the inventory says.

    `locate` makes the path of a key file absolute.
    """

    def __init__(self, scope: Scope, locate: Callable[[str], str]) -> None:
        self.scope = scope
        self.locate = locate
        self.known: dict[str, Access] = {}
        self.warnings: dict[str, None] = {}

    def is_reached_by_ssh(self, host: str) -> bool:
        """Not, where the inventory says that Ansible reaches it some other way."""
        connection = self.scope.setting(host, "ansible_connection")
        return connection is None or connection.text() in _SSH

    def to(self, host: str, chain: tuple[str, ...] = ()) -> Access:
        """How the host is reached. Raises InputError, with the place, for what cannot be."""
        if host not in self.known:
            self.known[host] = self._find(host, (*chain, host))
        return self.known[host]

    def _find(self, host: str, chain: tuple[str, ...]) -> Access:
        options, arguments = self._options(host)
        port = self.scope.setting(host, *_PORT)
        user = self.scope.setting(host, *_USER)
        key_file = self.scope.setting(host, *_KEY_FILE)
        host_key = self.scope.setting(host, "cube_host_key")
        identity = key_file.checked(grammar.path) if key_file else options.identity_file
        return Access(
            address=self._address(host),
            port=port.checked(grammar.port) if port else options.port,
            user=user.checked(grammar.user) if user else options.user,
            identity_file=self.locate(identity) if identity else None,
            host_key=host_key.checked(grammar.host_key) if host_key else None,
            jumps=self._jumps(options.jumps or (), chain, arguments),
        )

    def _address(self, host: str) -> str:
        if setting := self.scope.setting(host, *_ADDRESS):
            return setting.checked(grammar.address)
        return host

    def _options(self, host: str) -> tuple[SshOptions, Setting | None]:
        """The options of all arguments together, the first to speak wins; and the last that was there."""
        together, last = SshOptions(), None
        for name in _ARGUMENTS:
            if setting := self.scope.setting(host, name):
                options, last = setting.checked(parse_options), setting
                together = _joined(together, options)
                self.warnings.update(dict.fromkeys(f"{setting.mark}: {text}" for text in options.warnings))
        return together, last

    def _jumps(
        self, hops: tuple[Hop, ...], chain: tuple[str, ...], arguments: Setting | None
    ) -> tuple[Hop, ...]:
        road: tuple[Hop, ...] = ()
        for hop in hops:
            own, hop_itself = self._jump(hop, chain, arguments)
            # ssh reaches every hop but the first through the one before it, whatever else is said of it.
            road = (*(road or own), hop_itself)
        if len(road) > MAX_JUMPS and arguments:
            raise arguments.refused(f"the way is longer than {MAX_JUMPS} jump hosts")
        return road

    def _jump(
        self, hop: Hop, chain: tuple[str, ...], arguments: Setting | None
    ) -> tuple[tuple[Hop, ...], Hop]:
        """The hops before the hop, and the hop with what the inventory says of it."""
        identity = self.locate(hop.identity_file) if hop.identity_file else None
        if hop.address not in self.scope.inventory.hosts:
            return (), replace(hop, identity_file=identity)
        if hop.address in chain:
            raise _loop((*chain, hop.address), arguments)
        access = self.to(hop.address, chain)
        known = Hop(
            address=access.address,
            port=hop.port or access.port,
            user=hop.user or access.user,
            identity_file=identity or access.identity_file,
            host_key=access.host_key,
        )
        return access.jumps, known


def _joined(first: SshOptions, second: SshOptions) -> SshOptions:
    return SshOptions(
        jumps=first.jumps if first.jumps is not None else second.jumps,
        port=first.port or second.port,
        user=first.user or second.user,
        identity_file=first.identity_file or second.identity_file,
    )


def _loop(chain: tuple[str, ...], arguments: Setting | None) -> InputError:
    circle = chain[chain.index(chain[-1]) :]
    return InputError(
        "jump hosts lead back to where they began",
        where=str(arguments.mark) if arguments else "",
        why=" > ".join(circle),
        cure=f"Set ansible_ssh_common_args to '' for the host '{circle[-1]}'.",
    )
