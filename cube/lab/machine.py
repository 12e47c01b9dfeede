"""How the engine is told to make one node: a container that may do what a machine may."""

from pathlib import Path
from typing import Any

from cube.lab.archive import File
from cube.lab.fleet import LabSpec
from cube.lab.keys import KeyPair

_LXCFS = Path("/var/lib/lxcfs/proc")
# By bit, as linux/capability.h counts them, as far as every engine knows their names.
_CAPABILITIES = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT
SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL
SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ
"""


def host_options(spec: LabSpec, *, cgroup_version: str, capabilities: list[str]) -> dict[str, Any]:
    """The engine's HostConfig for a container that runs an engine of its own, without `Privileged`.

    `Privileged` asks for every capability, and fails where the host's bounding set lacks one; so does ALL.
    """
    old = cgroup_version == "1"
    return {
        "CapAdd": capabilities,
        "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"],
        "MaskedPaths": [],
        "ReadonlyPaths": [],
        "DeviceCgroupRules": ["a *:* rwm"],
        "CgroupnsMode": "host" if old else "private",
        "Binds": [*(["/sys/fs/cgroup:/sys/fs/cgroup:rw"] if old else []), *_lxcfs_mounts()],
        "Tmpfs": {"/run": "exec"},  # a reboot clears it, as on any machine
        "NanoCpus": (spec.cpu or 0) * 1_000_000,
        "Memory": spec.memory or 0,
    }


def grantable_capabilities(process_status: str) -> list[str]:
    """The capabilities that a child of the process with this `/proc/PID/status` may have."""
    bounding = next(line for line in process_status.splitlines() if line.startswith("CapBnd:"))
    held = int(bounding.split()[1], 16)
    return [name for bit, name in enumerate(_CAPABILITIES.split()) if held >> bit & 1]


def host_files(host: KeyPair) -> tuple[File, ...]:
    """The files of the key that the node shows."""
    return (
        File(path="etc/ssh/ssh_host_ed25519_key", mode=0o600, content=host.private),
        File(path="etc/ssh/ssh_host_ed25519_key.pub", mode=0o644, content=host.public.encode()),
    )


def accepted_files(public_key: str) -> tuple[File, ...]:
    """The file that lets the holder of that key in as root."""
    return (File(path="root/.ssh/authorized_keys", mode=0o600, content=public_key.encode()),)


def _lxcfs_mounts() -> list[str]:
    """With lxcfs on the host, /proc tells the node's own memory, load and CPU, not the host's."""
    files = ("meminfo", "stat", "loadavg", "uptime", "cpuinfo", "diskstats", "swaps")
    return [f"{_LXCFS / file}:/proc/{file}:rw" for file in files if (_LXCFS / file).exists()]
