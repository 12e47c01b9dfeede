"""A task's files in its node's memory: what the engine is never told, and no disk keeps."""

import io
import re
import tarfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cube.connection import after
from cube.connection.ssh import Connection
from cube.errors import CubeError, InputError
from cube.model.files import hash_of, mark_of, variables_in
from cube.model.image import DOCKER_HUB, registry_of
from cube.model.job import SecretUse, Template
from cube.model.node import Login
from cube.model.secret import Secret
from cube.model.task import Task
from cube.worker.container import MEMORY, TOLD, template_file

PATIENCE = 20.0
"""Seconds to write, or to remove, the files of one task."""

SECRET, OPEN = 0o400, 0o444
"""Modes of files: for their owner alone, and for everybody in the container."""

DOCKER_HUB_API = "https://index.docker.io/v1/"
"""What engines call Docker's own registry where they are told a login."""

NO_ROOT, NO_NAME, NO_MEMORY = 20, 21, 22

_HEAD = f"""\
set -eu
PATH=$PATH:/usr/sbin:/sbin
umask 077
as_root=
if [ "$(id -u)" != 0 ]; then
  sudo -n true 2>/dev/null || exit {NO_ROOT}
  as_root="sudo -n"
fi
IFS= read -r task
case "$task" in ""|*[!0-9a-f-]*) exit {NO_NAME} ;; esac
"""

# What is mounted over a /run that is on a disk is small: secrets and configurations.
# A file's time is when it was written (-m), by the node's clock: drains are counted from the last note's.
WRITE = f"""\
{_HEAD}
[ -d {MEMORY} ] || $as_root mkdir -m 0711 {MEMORY}
case "$(stat -f -c %T {MEMORY})" in tmpfs|ramfs) ;; *)
  $as_root mount -t tmpfs -o mode=0711,nosuid,nodev,noexec,size=64m cube {MEMORY} || exit {NO_MEMORY} ;;
esac
[ -d "{MEMORY}/$task" ] || $as_root mkdir -m 0711 "{MEMORY}/$task"
$as_root tar -x -p -m --same-owner --overwrite -C "{MEMORY}/$task" -f -
"""

REMOVE = f"""\
{_HEAD}
$as_root rm -rf "{MEMORY}/$task"
"""

_REASONS = {
    NO_ROOT: "the user is not root and has no passwordless sudo: no file can be given to the task's user",
    NO_MEMORY: f"{MEMORY} is on a disk, and no filesystem in memory could be mounted there",
}

Render = Callable[[Task, Template], str]
"""What a template makes for a task. Raises InputError with the template's place."""

Ask = Callable[[str, str], Secret]
"""The secret of that name, and with that fingerprint where it still has it. Raises InputError."""

Owner = tuple[int, int]
"""The numbers of a user and of its group."""

ROOT: Owner = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of a task: its name in the task's folder."""

    name: str
    content: Secret
    mode: int = SECRET


class BelongingsError(CubeError):
    """The node cannot keep the task's files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Porter:
    """Brings the tasks of one node what its engine is not to keep, and takes it away again.

    `registries` are logins by the registry's host.
    """

    connect: Callable[[], Connection]
    secret: Ask
    render: Render
    registries: Mapping[str, Login] = field(default_factory=dict)
    _alone: threading.Lock = field(default_factory=threading.Lock)
    _given: dict[str, frozenset[Secret]] = field(default_factory=dict, init=False, repr=False)

    def bring(self, task: Task, owner: Owner = ROOT) -> None:
        """Make the task's files be there, for that owner alone. Those that are there are written in place.

        Raises InputError for a secret that is not to be had, BelongingsError where the node has no memory for
        them, ConnectionFailed where the answer is lost.
        """
        uses = [use for use in task.spec.secrets if use.target is not None]
        files = [File(name=use.name, content=self._value(use)) for use in uses]
        texts = tuple(self.render(task, template) for template in task.spec.templates)
        files += _files(texts, told=mark_of(map(hash_of, texts)))
        if files:
            self._run(WRITE, f"{task.id}\n".encode() + archive(files, owner), "written")

    def deliver(self, task: Task, texts: Sequence[str], *, told: str) -> None:
        """Make the task's files from templates be these, written in place; raises as `bring`.

        `told` is noted of them: the mark of those that its process knows, or which try to tell it this is.
        """
        self._run(WRITE, f"{task.id}\n".encode() + archive(_files(texts, told=told), ROOT), "written")

    def take_away(self, task: str) -> None:
        """Make none of the task's files be there. Raises as `bring`."""
        self._run(REMOVE, f"{task}\n".encode(), "removed")

    def variables(self, task: Task, texts: Sequence[str] | None = None) -> Mapping[str, str]:
        """Those of its files from templates, which are `texts` (None: as they are now), and of its secrets.

        Raises InputError for one that is not to be had, or is no text.
        """
        if texts is None:
            texts = [self.render(task, each) if each.env else "" for each in task.spec.templates]
        found = dict[str, str]()
        for template, text in zip(task.spec.templates, texts, strict=True):
            if template.env:
                found |= variables_in(text)
        return found | self._secret_variables(task)

    def _secret_variables(self, task: Task) -> dict[str, str]:
        uses = [(use.env, use) for use in task.spec.secrets if use.env is not None]
        return {variable: _as_text(self._value(use)) for variable, use in uses}

    def given(self, uses: Iterable[SecretUse]) -> tuple[Secret, ...]:
        """All values of those secrets that it has given, or told of."""
        return tuple(secret for use in uses for secret in self._given.get(use.name, ()))

    def values(self, uses: Iterable[SecretUse]) -> tuple[Secret, ...]:
        """The same, and of one that it has given to nobody the value that it would. Raises InputError."""
        return tuple(secret for use in uses for secret in self._given.get(use.name) or (self._value(use),))

    def _value(self, use: SecretUse) -> Secret:
        secret = self.secret(use.name, use.fingerprint)
        self._given[use.name] = self._given.get(use.name, frozenset()) | {secret}
        return secret

    def login(self, image: str) -> Mapping[str, str] | None:
        """What the registry of that image is to be told with a pull; None: nothing is known.

        Raises InputError for a password that is not to be had.
        """
        host = registry_of(image)
        login = self.registries.get(host)
        if login is None:
            return None
        password = _as_text(self.secret(login.secret, "")).rstrip("\r\n")
        address = DOCKER_HUB_API if host == DOCKER_HUB else host
        return {"username": login.user, "password": password, "serveraddress": address}

    def _run(self, script: str, stdin: bytes, what: str) -> None:
        """One at a time: two that find no memory would mount it one over the other."""
        connection = self.connect()
        with self._alone:
            answer = connection.run(script, stdin=stdin, deadline=after(PATIENCE))
        if answer.exit_status:
            raise _refusal(connection.name, answer.exit_status, what)


def _files(texts: Sequence[str], *, told: str) -> list[File]:
    """With a note of what the task's process was told; none without texts."""
    names = [template_file(index) for index in range(len(texts))]
    pairs = [*zip(names, texts, strict=True), *([(TOLD, told)] if texts else [])]
    return [File(name=name, content=Secret(name, text.encode()), mode=OPEN) for name, text in pairs]


def no_templates(task: Task, template: Template) -> str:
    """For whoever works without an inventory. Raises InputError."""
    raise InputError(
        f"{template.source} cannot be rendered for {task.slot}", why="this Cube has no inventory"
    )


def no_secrets(name: str, _fingerprint: str) -> Secret:
    """For whoever works without a vault. Raises InputError."""
    raise InputError(f"there is no secret {name!r}", why="this Cube was given no vault")


def archive(files: Iterable[File], owner: Owner) -> bytes:
    """The files as tar unpacks them. Pure."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for file in files:
            content = file.content.reveal()
            entry = tarfile.TarInfo(file.name)
            entry.size, entry.mode = len(content), file.mode
            entry.uid, entry.gid = owner
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def owner_of(user: str, passwd: str, group: str) -> Owner | None:
    """Who that is, `name:group` or numbers, by the container's own files; None: nobody knows.

    As the engine has it: the group of a user that is named alone is that user's first one, root's for a
    number that is not in the file.
    """
    name, _, wanted = (user or "0").partition(":")
    known = {row[0]: (int(row[2]), int(row[3])) for row in _rows(passwd, 4)}
    by_number = {str(uid): (uid, gid) for uid, gid in known.values()}
    number = {str(uid): uid for uid, _ in known.values()} | {row: uid for row, (uid, _) in known.items()}
    uid = int(name) if re.fullmatch(r"\d{1,9}", name) else number.get(name)
    if uid is None:
        return None
    if not wanted:
        return known.get(name) or by_number.get(name) or (uid, 0)
    groups = {row[0]: int(row[2]) for row in _rows(group, 3)}
    gid = int(wanted) if re.fullmatch(r"\d{1,9}", wanted) else groups.get(wanted)
    return None if gid is None else (uid, gid)


def _rows(text: str, least: int) -> Iterable[list[str]]:
    rows = (line.split(":") for line in text.splitlines())
    return [row for row in rows if len(row) >= least and all(part.isdigit() for part in row[2:least])]


def _refusal(node: str, status: int, what: str) -> BelongingsError:
    """What the node's programs say is not repeated: it could quote what nobody is to see."""
    why = _REASONS.get(status, f"the script ended with {status}")
    cure = "Look at the node's memory, and at /run."
    if status == NO_ROOT:
        cure = "Log in as root (ansible_user), or give the user sudo without a password."
    return BelongingsError(f"the task's files could not be {what}", where=node, why=why, cure=cure)


def _as_text(secret: Secret) -> str:
    try:
        return secret.reveal().decode()
    except UnicodeDecodeError:
        raise InputError(
            f"{secret} is no text, and can be neither a variable nor a password", cure="Give it as a file."
        ) from None
