"""Secrets: where they come from, what tells of a change, and that nothing shows them."""

import io
import stat
import tarfile
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from cube.connection.ssh import Connection
from cube.errors import InputError
from cube.model.job import Group, Job, SecretUse, TaskSpec
from cube.model.secret import Secret
from cube.spec.parse import parse
from cube.vault.place import VaultPlace
from cube.vault.sealed import own_recipient
from cube.vault.source import Source, SourceKind
from cube.vault.sources import sources
from cube.vault.vault import MAX_BYTES, Vault, fingerprinted
from cube.worker.belongings import SECRET, File, Porter, archive, no_templates, owner_of
from cube.worker.container import Claim, container_config
from tests import build

CANARY = "canary-5f2b"


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> VaultPlace:
    folder = tmp_path / "secrets"
    return VaultPlace(
        folder=folder, cluster="prod", identity=tmp_path / "home/age.key", keys=tmp_path / ".cube"
    )


def vault_of(place: VaultPlace, **environment: str) -> Vault:
    return Vault(
        sources=place.sources,
        sealed=place.opened,
        environment=environment,
        folder=place.folder.parent,
        key=place.key,
    )


def test_a_secret_tells_its_name_and_nothing_else_p15() -> None:
    secret = Secret("db", CANARY.encode())
    assert CANARY not in f"{secret} {secret!r} {[secret]} {Vault(_kept={'db': (0.0, secret)})!r}"
    assert secret.reveal() == CANARY.encode()


def test_what_is_sealed_can_be_opened_again_and_is_no_plain_text(place: VaultPlace) -> None:
    values = {"db": CANARY, "odd": "yes\n: {}\t'\"é", "number": "0x10"}
    place.seal(values)
    assert place.opened() == values
    file = place.file(".age")
    assert CANARY not in file.read_text()
    assert file.read_text().startswith("-----BEGIN AGE ENCRYPTED FILE-----")
    for private in (file, place.identity):
        assert stat.S_IMODE(private.stat().st_mode) == 0o600


def test_another_person_can_open_it_once_it_was_sealed_for_both(place: VaultPlace, tmp_path: Path) -> None:
    place.seal({"db": CANARY})
    other = VaultPlace(folder=place.folder, cluster="prod", identity=tmp_path / "other.key", keys=place.keys)
    key = own_recipient(other.identity)
    with pytest.raises(InputError, match="cannot be opened") as refusal:
        other.opened()
    assert CANARY not in str(refusal.value)
    with place.file(".recipients").open("a") as file:
        file.write(f"{key} # Bob\n")
    place.seal(place.opened())
    assert (place.opened(), other.opened()) == ({"db": CANARY}, {"db": CANARY})


def test_a_secret_comes_from_where_the_file_of_sources_says(place: VaultPlace, tmp_path: Path) -> None:
    place.seal({"sealed": "one"})
    (tmp_path / "plain").write_bytes(b"two\n")
    place.file(".yml").write_text(
        "file: {file: plain}\nenv: {env: TOLD}\ncommand: {command: [printf, '%s\\n', '$HOME `id`']}\n"
    )
    vault = vault_of(place, TOLD="three")
    found = {name: vault.get(name).reveal() for name in ("sealed", "file", "env", "command")}
    assert found == {"sealed": b"one", "file": b"two\n", "env": b"three", "command": b"$HOME `id`"}


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (Source(kind=SourceKind.ENV, value=("GONE",)), r"\$GONE is not set"),
        (Source(kind=SourceKind.FILE, value=("gone",)), "gone: No such file"),
        (Source(kind=SourceKind.COMMAND, value=("false",)), "false ended with status 1"),
        (Source(kind=SourceKind.COMMAND, value=("no-such-program",)), "No such file"),
        (Source(kind=SourceKind.COMMAND, value=("true",)), "it is empty"),
        (
            Source(kind=SourceKind.COMMAND, value=("head", "-c", str(MAX_BYTES + 1), "/dev/zero")),
            "more than 256",
        ),
        (Source(kind=SourceKind.COMMAND, value=("sh", "-c", f"echo {CANARY} >&2; exit 1")), "sh ended with"),
    ],
)
def test_a_secret_that_cannot_be_had_is_named_with_the_reason(
    source: Source, says: str, tmp_path: Path
) -> None:
    vault = Vault(sources=lambda: {"db": source}, folder=tmp_path)
    with pytest.raises(InputError, match=says) as refusal:
        vault.get("db")
    assert CANARY not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[db]", "write a table"),
        ("db: pass", "write {env: NAME}"),
        ("db: {env: A, file: b}", "write {env: NAME}"),
        ("db: {command: pass show db}", "a command is a list"),
        ("db: {url: x}", "'url' is no source"),
        ("../db: {env: A}", "no name of a secret"),
        ("db: {env: 'A B'}", "no name of a variable"),
    ],
)
def test_a_file_of_sources_with_a_mistake_is_refused_with_its_place(text: str, says: str) -> None:
    with pytest.raises(InputError, match=r"prod\.yml:1:1") as refusal:
        sources(text, "prod.yml")
    assert says in str(refusal.value)


def test_a_fingerprint_tells_a_change_and_without_its_key_nothing(place: VaultPlace) -> None:
    def told(value: str, key: bytes) -> str:
        return Vault(sealed=lambda: {"db": value}, key=lambda: key).fingerprint("db")

    assert told("one", b"k") == told("one", b"k")
    assert len({told("one", b"k"), told("two", b"k"), told("one", b"other")}) == 3
    assert place.key() == place.key()
    assert len(place.key()) == 32


def no_connection() -> Connection:
    raise AssertionError


def test_a_fingerprint_is_of_the_secret_as_it_is_now_and_who_is_given_it_gets_that_value() -> None:
    values = {"db": "one"}
    vault = Vault(sealed=lambda: values, key=lambda: b"k")
    before = vault.fingerprint("db")
    values["db"] = "two"
    assert vault.get("db", before).reveal() == b"one", "what was asked within the minute"
    after = Vault(sealed=lambda: values, key=lambda: b"k").fingerprint("db")
    assert vault.get("db", after).reveal() == b"two", "another Cube deployed it"
    use = SecretUse(name="db", env="DB", fingerprint=before)
    porter = Porter(connect=no_connection, secret=vault.get, render=no_templates)
    values["db"] = "one"
    assert porter.variables(build.task(spec=TaskSpec(image="a", secrets=(use,)))) == {"DB": "one"}
    values["db"] = "three"
    assert vault.fingerprint("db") not in (before, after)
    assert vault.get("db").reveal() == b"three"


def test_a_deploy_asks_once_for_each_secret_however_many_groups_have_it() -> None:
    asked: list[str] = []

    def sealed() -> Mapping[str, str]:
        asked.append("db")
        return {"db": CANARY}

    spec = TaskSpec(image="a", secrets=(SecretUse(name="db", env="DB"),))
    job = Job(name="web", groups=tuple(Group(name=name, spec=spec) for name in ("a", "b", "c")))
    assert len({group.spec.digest for group in fingerprinted(job, Vault(sealed=sealed)).groups}) == 1
    assert asked == ["db"]


def test_a_source_that_is_slow_holds_up_no_other_secret(tmp_path: Path) -> None:
    asked, goes, told = threading.Event(), threading.Event(), list[bool]()

    def slow() -> Mapping[str, Source]:
        if threading.current_thread() is thread:
            asked.set()
            told.append(goes.wait(10))
        return {}

    vault = Vault(sources=slow, sealed=lambda: {"slow": "1", "db": "2"}, folder=tmp_path)
    thread = threading.Thread(target=lambda: vault.get("slow"))
    thread.start()
    assert asked.wait(20)
    assert vault.get("db").reveal() == b"2"
    goes.set()
    thread.join(20)
    assert told == [True], "while the slow one was still asked for"


def test_p15_a_job_holds_references_and_fingerprints_only() -> None:
    spec = TaskSpec(image="a", secrets=(SecretUse(name="db", target="/run/secrets/db"),))
    job = Job(name="web", groups=(Group(name="web", spec=spec),))
    vault = Vault(sealed=lambda: {"db": CANARY}, key=lambda: b"k")
    found = fingerprinted(job, vault)
    assert found.groups[0].spec.digest != spec.digest, "another value is another spec"
    task = build.task(spec=found.groups[0].spec)
    config = container_config(task, Claim(cluster="c", owner="o", epoch=1), found)
    assert CANARY not in str(config)
    (mount,) = config["HostConfig"]["Mounts"]
    assert (mount["Source"], mount["ReadOnly"]) == (f"/run/cube/{task.id}/db", True)


PASSWD = "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001::/:/bin/sh\nbroken:x:no:1:\n"
GROUP = "root:x:0:\nstaff:x:50:\n"


@pytest.mark.parametrize(
    ("user", "owner"),
    [
        ("", (0, 0)),
        ("0", (0, 0)),
        ("web", (1000, 1001)),
        ("1000", (1000, 1001)),
        ("1234", (1234, 0)),
        ("web:staff", (1000, 50)),
        ("web:7", (1000, 7)),
        ("12:34", (12, 34)),
        ("nobody", None),
        ("broken", None),
        ("web:none", None),
    ],
)
def test_a_file_belongs_to_whom_the_image_says(user: str, owner: tuple[int, int] | None) -> None:
    assert owner_of(user, PASSWD, GROUP) == owner


def test_what_is_sent_to_a_node_is_for_one_owner_alone() -> None:
    packed = archive([File(name="db", content=Secret("db", CANARY.encode()))], (1000, 1001))
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        (entry,) = tar.getmembers()
        file = tar.extractfile(entry)
        assert file is not None
        assert (entry.name, entry.mode, entry.uid, entry.gid) == ("db", SECRET, 1000, 1001)
        assert file.read() == CANARY.encode()


def test_a_job_names_its_secrets_as_a_list_or_with_their_places() -> None:
    text = "job: web\ngroups: {{web: {{image: 'a:1', secrets: {}}}}}"
    listed = parse(text.format("[b, a]"), "x", {}).groups[0].spec.secrets
    assert listed == (
        SecretUse(name="a", target="/run/secrets/a"),
        SecretUse(name="b", target="/run/secrets/b"),
    )
    table = parse(text.format("{a: /a.txt, b: {env: B}, c: {file: /c}}"), "x", {}).groups[0].spec.secrets
    assert [(use.target, use.env) for use in table] == [("/a.txt", None), (None, "B"), ("/c", None)]
    with pytest.raises(InputError, match="something else is mounted at /a"):
        parse(text.format("{a: /a, b: /a}"), "x", {})
    with pytest.raises(InputError, match="the variable B has a value already"):
        parse(text.format("{a: {env: B}, b: {env: B}}"), "x", {})
