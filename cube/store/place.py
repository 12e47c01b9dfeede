"""Where the state file lies: made for its owner alone, and refused where SQLite's locks cannot protect it."""

import os
import stat
from pathlib import Path

from cube.errors import InputError

NETWORK_FILESYSTEMS = frozenset(
    {
        "9p", "afs", "autofs", "beegfs", "ceph", "cifs", "coda", "fuse.cephfs", "fuse.glusterfs",
        "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "gfs2", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4",
        "ocfs2", "orangefs", "smb3", "smbfs",
    }
)  # fmt: skip


def prepare(path: Path, *, create: bool) -> Path:
    """The path of a file that is safe to open: its directory resolved, the file there, 0600 and ours.

    What is missing is made (the directory 0700, the file empty) if `create`. Raises InputError where
    the file must not be used, and says why.
    """
    try:
        path = _directory(path, create=create) / path.name
        if create:
            _make(path)
        _inspect(path)
    except OSError as error:
        why = error.strerror or str(error)
        cure = "name another file with --state, or give this one a directory that is yours"
        raise InputError("the state file cannot be used", where=str(path), why=why, cure=cure) from error
    return path


def _directory(path: Path, *, create: bool) -> Path:
    if create and not path.parent.exists():
        path.parent.mkdir(parents=True)
        path.parent.chmod(0o700)
    return path.parent.resolve(strict=True)


def _make(path: Path) -> None:
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    os.fchmod(handle, 0o600)
    os.close(handle)


def _inspect(path: Path) -> None:
    status = path.lstat()
    if refusal := refuse_file(status, user=os.geteuid()):
        why, cure = refusal
        raise InputError("the state file is refused", where=str(path), why=why, cure=cure)
    filesystem = filesystem_of(_mounts(), status.st_dev)
    if filesystem in NETWORK_FILESYSTEMS:
        why = f"it lies on a network filesystem ({filesystem}), where locks cannot be trusted"
        cure = "keep the state on a local disk: --state PATH"
        raise InputError("the state file is refused", where=str(path), why=why, cure=cure)


def refuse_file(status: os.stat_result, *, user: int) -> tuple[str, str] | None:
    """Why a file with this status cannot hold the state, and the cure; None where it can."""
    if not stat.S_ISREG(status.st_mode):
        kind = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "not a regular file"
        return f"it is {kind}", "name the file itself"
    if status.st_nlink > 1:
        return "it has a second name (a hard link), and a lock beside each", "remove the other name"
    if status.st_uid != user:
        return f"it belongs to the user with id {status.st_uid}", "run Cube as that user, or change the owner"
    if status.st_mode & 0o077:
        return f"others may read or write it ({stat.filemode(status.st_mode)})", "chmod 600 it"
    return None


def filesystem_of(mountinfo: str, device: int) -> str | None:
    """The type of the filesystem with that device number, by the text of `/proc/self/mountinfo`."""
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in mountinfo.splitlines():
        mount, _, source = line.partition(" - ")
        if mount.split(" ")[2:3] == [number]:
            return source.split(" ")[0]
    return None


def _mounts() -> str:
    try:
        return Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        # No Linux: nothing is known about mounts, and a laptop's own disk is the rule.
        return ""
