"""Taking a saved image apart, and what of it is sent to a node that has some of its layers."""

import gzip
import io
import json
import tarfile
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube.cli.office import own_engine
from cube.errors import CubeError
from cube.image.own import OwnEngine
from cube.image.pack import PART, Pack, Parcel, unpack
from cube.image.recipe import Recipe, images_of
from cube.image.shelf import Shelf
from cube.model.image import Image, full_name, name_of_pin, registry_of, whole_name
from tests.imagery import archive, digest, image, layer, unarchived

LAYERS = (layer({"bin/app": b"app" * 5000}), layer({"etc/a": b"1"}), layer({"etc/b": b"2" * 100_000}))


def packed(folder: Path, data: bytes, name: str = "web:1") -> Pack:
    return unpack(io.BytesIO(data), name, folder)


def parcel_of(pack: Pack, present: int) -> dict[str, bytes]:
    return files_of(pack.parcel(present))


def files_of(parcel: Parcel) -> dict[str, bytes]:
    return unarchived(gzip.decompress(b"".join(parcel.pieces())))


def layers_in(files: dict[str, bytes]) -> dict[str, bytes]:
    """Those that were sent, by their digests."""
    (manifest,) = json.loads(files["manifest.json"])
    named = {path: path.replace("blobs/sha256/", "sha256:") for path in manifest["Layers"]}
    return {named[path]: content for path, content in files.items() if path in named}


class TestAParcel:
    @pytest.mark.parametrize("present", [0, 1, 2, 3])
    def test_holds_the_layers_that_the_node_lacks_and_no_other(self, tmp_path: Path, present: int) -> None:
        pack = packed(tmp_path, image("web:1", LAYERS, Cmd=["/bin/app"]))
        assert list(layers_in(parcel_of(pack, present)).values()) == list(LAYERS[present:])

    def test_names_every_layer_and_the_image_by_digests_that_an_engine_checks(self, tmp_path: Path) -> None:
        pack = packed(tmp_path, image("web:1", LAYERS, Cmd=["/bin/app"]))
        files = parcel_of(pack, 2)
        (manifest,) = json.loads(files["manifest.json"])
        assert manifest["RepoTags"] == ["web:1"]
        assert (
            manifest["Config"].replace("blobs/sha256/", "sha256:")
            == pack.id
            == digest(files[manifest["Config"]])
        )
        assert json.loads(files[manifest["Config"]])["rootfs"]["diff_ids"] == [
            digest(each) for each in LAYERS
        ]
        named = [path.replace("blobs/sha256/", "sha256:") for path in manifest["Layers"]]
        assert named == list(pack.digests)

    @pytest.mark.parametrize("present", [0, 2])
    def test_is_an_oci_layout_too_from_which_containerd_takes_what_it_lacks(
        self, tmp_path: Path, present: int
    ) -> None:
        pack = packed(tmp_path, image("web:1", LAYERS, Cmd=["/bin/app"]))
        files = parcel_of(pack, present)
        assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
        (told,) = json.loads(files["index.json"])["manifests"]
        assert told["annotations"] == {"io.containerd.image.name": "docker.io/library/web:1"}
        manifest = json.loads(found := files[told["digest"].replace("sha256:", "blobs/sha256/")])
        assert (digest(found), len(found)) == (told["digest"], told["size"])
        assert manifest["config"]["digest"] == pack.id
        assert [(each["digest"], each["size"]) for each in manifest["layers"]] == [
            (digest(content), len(content)) for content in LAYERS
        ]
        assert len(layers_in(files)) == len(LAYERS) - present

    def test_says_beforehand_how_many_bytes_it_is(self, tmp_path: Path) -> None:
        parcel = packed(tmp_path, image("web:1", LAYERS)).parcel(1)
        assert parcel.size == len(b"".join(parcel.pieces()))

    def test_holds_a_layer_once_that_the_image_has_twice(self, tmp_path: Path) -> None:
        pack = packed(tmp_path, image("web:1", (LAYERS[1], LAYERS[0], LAYERS[1])))
        files = parcel_of(pack, 0)
        assert len(layers_in(files)) == 2
        assert len(json.loads(files["manifest.json"])[0]["Layers"]) == 3

    @given(sizes=st.lists(st.integers(0, 3000), max_size=5), present=st.integers(0, 5))
    def test_of_any_image_is_what_the_rest_of_its_layers_is(
        self, tmp_path_factory: pytest.TempPathFactory, sizes: list[int], present: int
    ) -> None:
        layers = [layer({f"file{number}": bytes(size)}) for number, size in enumerate(sizes)]
        pack = packed(tmp_path_factory.mktemp("pack"), image("web:1", layers))
        assert layers_in(parcel_of(pack, present)) == {digest(each): each for each in layers[present:]}


class TestALargeImage:
    """Layers of zeros: large before they are compressed."""

    LARGE = (layer({"a": bytes(PART)}), LAYERS[1], layer({"b": bytes(PART)}), LAYERS[2])

    def test_goes_in_parts_that_are_images_of_its_lowest_layers_and_end_in_itself(
        self, tmp_path: Path
    ) -> None:
        pack = packed(tmp_path, image("web:1", self.LARGE, Cmd=["/bin/app"]))
        parcels = pack.parcels(0)
        assert [parcel.layers for parcel in parcels] == [1, 2, 1]
        ids = (*zip(pack.parts[:2], pack.parts[2:], strict=True), (pack.id, None))
        for parcel, (id_, on_containerd), name, count in zip(
            parcels, ids, (None, None, ["web:1"]), (1, 3, 4), strict=True
        ):
            files = files_of(parcel)
            (manifest,) = json.loads(files["manifest.json"])
            config = json.loads(files[manifest["Config"]])
            assert (digest(files[manifest["Config"]]), manifest["RepoTags"]) == (id_, name)
            assert config["rootfs"]["diff_ids"] == list(pack.digests[:count])
            assert len(manifest["Layers"]) == count
            (told,) = json.loads(files["index.json"])["manifests"]
            assert on_containerd in (None, told["digest"])

    @pytest.mark.parametrize(("present", "layers"), [(1, [2, 1]), (2, [1, 1]), (3, [1]), (4, [0])])
    def test_goes_on_behind_what_is_there(self, tmp_path: Path, present: int, layers: list[int]) -> None:
        pack = packed(tmp_path, image("web:1", self.LARGE))
        assert [parcel.layers for parcel in pack.parcels(present)] == layers
        assert pack.parcels(present)[-1].end == pack.parcel(present).end

    def test_has_the_same_parts_as_any_other_that_begins_with_the_same_layers(self, tmp_path: Path) -> None:
        folders = [tmp_path / "1", tmp_path / "2"]
        for folder in folders:
            folder.mkdir()
        one = packed(folders[0], image("web:1", self.LARGE, Cmd=["a"]))
        other = packed(folders[1], image("api:1", (*self.LARGE[:3], LAYERS[0]), Cmd=["b"]))
        assert one.parts == other.parts
        assert one.id != other.id


class TestASavedImage:
    def test_whose_layer_was_changed_on_the_way_is_refused(self, tmp_path: Path) -> None:
        data = image("web:1", LAYERS).replace(b"appapp", b"appApp", 1)
        pack = packed(tmp_path, data)
        with pytest.raises(CubeError, match="other bytes than its digest"):
            pack.parcel(0)
        assert pack.parcel(1).files, "and the others are well"

    @pytest.mark.parametrize("share", [0.2, 0.9, 0.999])
    def test_that_was_cut_short_is_refused(self, tmp_path: Path, share: float) -> None:
        data = image("web:1", LAYERS).rstrip(b"\0")
        with pytest.raises(CubeError, match="cannot be packed"):
            packed(tmp_path, data[: int(len(data) * share)])

    def test_writes_nothing_outside_of_its_folder_whatever_it_names(self, tmp_path: Path) -> None:
        folder = tmp_path / "inner"
        folder.mkdir()
        files = {path: (content, 0o644) for path, content in unarchived(image("web:1", LAYERS)).items()}
        packed(folder, archive({"../out": (b"x", 0o644), "/abs": (b"x", 0o644), **files}))
        assert [path.name for path in tmp_path.iterdir()] == ["inner"]

    def test_that_links_one_layer_to_another_as_engines_do_is_whole(self, tmp_path: Path) -> None:
        data = image("web:1", (LAYERS[0], LAYERS[0]))
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for path, content in unarchived(data).items():
                entry = tarfile.TarInfo(path)
                if path == "1/layer.tar":
                    entry.type, entry.linkname = tarfile.SYMTYPE, "../0/layer.tar"
                    tar.addfile(entry)
                else:
                    entry.size = len(content)
                    tar.addfile(entry, io.BytesIO(content))
        pack = packed(tmp_path, buffer.getvalue())
        assert pack.digests == (digest(LAYERS[0]),) * 2

    def test_whose_layers_are_compressed_as_on_containerd_is_sent_as_what_is_in_them(
        self, tmp_path: Path
    ) -> None:
        files = unarchived(image("web:1", LAYERS))
        zipped = {
            path: (gzip.compress(content) if path.endswith("layer.tar") else content, 0o644)
            for path, content in files.items()
        }
        pack = packed(tmp_path, archive(zipped))
        assert layers_in(parcel_of(pack, 0)) == {digest(each): each for each in LAYERS}


@pytest.mark.parametrize("is_zipped", [False, True])
def test_of_a_large_layer_no_more_than_a_few_pieces_are_in_memory(tmp_path: Path, is_zipped: bool) -> None:
    """Neither while it is taken apart nor while it is sent, however small it was when it was saved."""
    files = unarchived(image("web:1", (bytes(64 << 20),)))
    saved = tmp_path / "saved.tar"
    saved.write_bytes(archive({
        path: (gzip.compress(content) if is_zipped and path.endswith("layer.tar") else content, 0o644)
        for path, content in files.items()
    }))  # fmt: skip
    del files
    with saved.open("rb") as stream, growth() as grown:
        parcel = unpack(stream, "web:1", tmp_path).parcel(0)
        assert sum(map(len, parcel.pieces())) == parcel.size
        assert grown() < 4 << 20


@contextmanager
def growth() -> Iterator[Callable[[], int]]:
    """By how many bytes the memory was larger, at most, than where it was begun."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        yield lambda: tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


class TestTwoRecipes:
    ONE = Recipe(
        name="web:1", id="sha256:a", layers=("x", "y"), created="then", config={"Cmd": ["a"], "User": ""}
    )

    def test_are_the_same_by_their_id(self) -> None:
        assert self.ONE.is_same(Recipe(name="web:2", id="sha256:a", layers=()))

    def test_are_the_same_by_all_that_shows_where_ids_are_of_two_kinds(self) -> None:
        other = Recipe(
            name="web:1", id="b", layers=("x", "y"), created="then", config={"Cmd": ["a"], "User": None}
        )
        assert self.ONE.is_same(other)

    @pytest.mark.parametrize(
        "other",
        [
            Recipe(name="web:1", id="b", layers=("x", "y"), created="then", config={"Cmd": ["b"]}),
            Recipe(name="web:1", id="b", layers=("x",), created="then", config={"Cmd": ["a"]}),
            Recipe(name="web:1", id="b", layers=("x", "y"), created="now", config={"Cmd": ["a"]}),
        ],
    )
    def test_differ_by_their_layers_their_time_or_what_they_run(self, other: Recipe) -> None:
        assert not self.ONE.is_same(other)


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("web", "web:latest"),
        ("web:7", "web:7"),
        ("docker.io/library/web", "web:latest"),
        ("host:5000/team/web", "host:5000/team/web:latest"),
        ("host:5000/team/web:7", "host:5000/team/web:7"),
        ("web@sha256:abc", "web@sha256:abc"),
        ("sha256:abc", "sha256:abc"),
    ],
)
def test_a_name_is_what_engines_list_it_as(name: str, full: str) -> None:
    assert full_name(name) == full


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("web", "docker.io/library/web:latest"),
        ("team/web:7", "docker.io/team/web:7"),
        ("host:5000/web:7", "host:5000/web:7"),
        ("docker.io/library/web", "docker.io/library/web:latest"),
    ],
)
def test_a_whole_name_leaves_nothing_to_the_engine(name: str, whole: str) -> None:
    assert whole_name(name) == whole


OWN, OURS, PUSHED = (f"sha256:{letter * 64}" for letter in "abc")


class TestAListedImage:
    """Of an engine on containerd; its own id is nobody else's."""

    def listed(self, *tags: str) -> Image:
        digests = [f"{tag.rpartition(':')[0]}@{OWN}" for tag in tags]
        (found,) = images_of([{"Id": OWN, "RepoTags": tags, "RepoDigests": digests, "Size": 1, "Created": 1}])
        return found

    def test_may_be_the_one_of_its_name_while_nobody_knows_which_id_it_has_elsewhere(self) -> None:
        found = self.listed("web:1")
        assert (found.is_of("web:1", OURS), found.may_be_of("web:1", OURS)) == (False, True)
        assert not found.may_be_of("web:2", OURS)

    def test_is_the_one_of_the_id_that_a_push_left_and_no_other(self) -> None:
        found = self.listed("web:1", name_of_pin(PUSHED))
        assert (found.is_of("web:2", PUSHED), found.may_be_of("web:1", OURS)) == (True, False)
        assert found.names == ("web:1", f"web@{OWN}"), "what the engine keeps for Cube is no name of it"

    def test_is_the_one_of_its_own_id_where_that_is_known_elsewhere_too(self) -> None:
        assert self.listed("web:1").is_of("web:1", OWN)


@pytest.mark.parametrize(
    ("name", "registry"),
    [
        ("nginx", "docker.io"),
        ("library/nginx:1", "docker.io"),
        ("index.docker.io/team/app", "docker.io"),
        ("registry.example/app@sha256:" + "a" * 64, "registry.example"),
        ("registry:5000/app", "registry:5000"),
        ("localhost/app", "localhost"),
        ("team.app:5000", "docker.io"),
    ],
)
def test_an_image_comes_from_the_registry_that_its_name_begins_with(name: str, registry: str) -> None:
    assert registry_of(name) == registry


@pytest.mark.parametrize(
    ("environment", "socket"),
    [
        ({}, "/var/run/docker.sock"),
        ({"CUBE_ENGINE": "/run/own.sock"}, "/run/own.sock"),
        ({"DOCKER_HOST": "unix:///run/user/1000/docker.sock"}, "/run/user/1000/docker.sock"),
        ({"DOCKER_HOST": "tcp://far.example:2375"}, "/var/run/docker.sock"),
    ],
)
def test_the_operators_engine_is_on_this_machine(environment: dict[str, str], socket: str) -> None:
    assert own_engine(environment) == socket


def test_a_machine_without_an_engine_says_so_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CubeError, match="does not answer") as raised:
        OwnEngine(str(tmp_path / "none.sock")).image("web:1")
    assert "CUBE_ENGINE" in raised.value.cure


class Engine(OwnEngine):
    """An engine with one image, which counts how often that is saved."""

    saves = 0

    def needed(self, name: str) -> Recipe:
        return Recipe(name=name, id="sha256:a", layers=tuple(map(digest, LAYERS)))

    @contextmanager
    def saved(self, name: str) -> Iterator[Any]:
        self.saves += 1
        yield io.BytesIO(image(name, LAYERS))


class TestAShelf:
    def test_packs_an_image_once_for_all_that_use_it_at_a_time_and_keeps_nothing_after_them(self) -> None:
        engine = Engine()
        with Shelf(engine) as shelf:
            with shelf.in_use():
                with shelf.in_use():
                    first = shelf.cargo("web:1").pack().parcel(0)
                assert all(file.exists() for file in first.files), "another one still uses it"
                assert shelf.cargo("web:1").pack().parcel(0).files == first.files
            assert not any(file.exists() for file in first.files)
            with shelf.in_use():
                again = shelf.cargo("web:1").pack().parcel(0)
                assert all(file.exists() for file in again.files)
        assert engine.saves == 2
        assert not any(file.parent.exists() for file in again.files)
