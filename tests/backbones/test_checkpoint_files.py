"""Files of a checkpoint: found without a network, safe to open, hashed once."""

import json
import os
import shutil
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kinoscope import libraries
from kinoscope.backbones import checkpoint_files
from kinoscope.backbones.checkpoint_files import (
    checkpoint_folder,
    file_hashes,
    misfit,
    read_json,
    shape_misfit,
    weight_files,
    weight_shapes,
)
from kinoscope.errors import SetupError, UsageError
from kinoscope.packages import sha256_of

NAMES = ("config.json", "model.safetensors", "tokenizer.json", "merges.txt", "chat_template.jinja")


@pytest.fixture(autouse=True)
def _own_cache(no_network, tmp_path, monkeypatch):
    """The user's cache stays as it is."""
    monkeypatch.setenv("KINOSCOPE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    """A folder with files of all kinds, old enough to be remembered."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    for name in (*NAMES, "sentencepiece.model", "README.md", "kinoscope.json"):
        (folder / name).write_text(f"{name} 1")
    weights = {"a.weight": np.zeros((2, 3), np.float32), "b.bias": np.ones(4, np.float16)}
    libraries.imported("safetensors.numpy").save_file(weights, folder / "model.safetensors")
    settle()
    return folder


@pytest.fixture
def hashed(monkeypatch) -> list[str]:
    """Names of the files that are read to be hashed."""
    read: list[str] = []

    def note(path: Path) -> str:
        read.append(path.name)
        return sha256_of(path)

    monkeypatch.setattr(checkpoint_files, "sha256_of", note)
    return read


def settle() -> None:
    """Waits until files are old enough to be remembered."""
    time.sleep(0.15)


@pytest.mark.parametrize(
    "name", ["x", "a/b/c", "../x", "a/../b", "a/..", "/nowhere/at/all", "a/b\n", "-a/b", "", "a//b"]
)
@pytest.mark.parametrize("offline", [False, True])
def test_what_is_neither_folder_nor_hub_name_is_unknown(name, offline, monkeypatch, tmp_path):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    hub = SimpleNamespace(snapshot_download=lambda *_a, **_n: pytest.fail("the hub was asked"))
    monkeypatch.setattr(checkpoint_files, "imported", lambda _name: hub)
    with pytest.raises(
        UsageError, match=r"^model .* is unknown: choose concepts, mini, the folder of"
    ):
        checkpoint_folder(name, offline=offline)


def test_a_file_is_no_model_and_a_folder_is_one_by_any_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_text("")
    with pytest.raises(UsageError, match="is unknown: choose concepts"):
        checkpoint_folder("a/b", offline=True)
    assert checkpoint_folder("./a", offline=True) == tmp_path.resolve() / "a"
    assert checkpoint_folder("a/../a", offline=True) == tmp_path.resolve() / "a"


@pytest.fixture
def hub_cache(tmp_path, monkeypatch) -> Path:
    """An empty cache of the hub."""
    constants = libraries.imported("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_a_hub_name_that_is_not_here_is_not_looked_for_offline(hub_cache, monkeypatch):
    with pytest.raises(
        SetupError, match=r"^nobody/x is not on this machine: run kinoscope setup n"
    ):
        checkpoint_folder("nobody/x", offline=True)
    monkeypatch.setattr(libraries.imported("huggingface_hub.constants"), "HF_HUB_OFFLINE", True)
    with pytest.raises(
        SetupError, match=r"^nobody/x is not .* be fetched \(.+\): connect, or name"
    ):
        checkpoint_folder("nobody/x", offline=False)


def snapshot(hub_cache: Path, checkpoint: Path) -> Path:
    """What the hub's client leaves: a folder of links to files by another name."""
    store = hub_cache / "models--some--model"
    for folder in ("refs", "blobs", f"snapshots/{'0' * 40}"):
        (store / folder).mkdir(parents=True)
    (store / "refs" / "main").write_text("0" * 40)
    place = store / "snapshots" / ("0" * 40)
    for number, file in enumerate(checkpoint.iterdir()):
        shutil.copy(file, store / "blobs" / str(number))
        (place / file.name).symlink_to(store / "blobs" / str(number))
    return place


def test_a_snapshot_that_is_here_needs_no_network(hub_cache, checkpoint):
    place = snapshot(hub_cache, checkpoint)
    assert checkpoint_folder("some/model", offline=False) == place
    assert checkpoint_folder("some/model", offline=True) == place


@pytest.mark.parametrize("lost", ["model.safetensors", "config.json"])
def test_a_snapshot_that_was_fetched_in_part_is_fetched_again(hub_cache, checkpoint, lost):
    place = snapshot(hub_cache, checkpoint)
    (place / lost).unlink()
    with pytest.raises(
        SetupError, match=r"some/model is only in part on this machine: run kinosco"
    ):
        checkpoint_folder("some/model", offline=True)
    with pytest.raises(AssertionError, match="a connection to"):
        checkpoint_folder("some/model", offline=False)


def test_a_snapshot_has_the_hashes_of_its_content(hub_cache, checkpoint):
    assert file_hashes(snapshot(hub_cache, checkpoint)) == file_hashes(checkpoint)


def test_shapes_are_read_from_the_header_alone(checkpoint):
    assert weight_shapes(weight_files(checkpoint)) == {"a.weight": (2, 3), "b.bias": (4,)}


def test_weights_are_read_from_whole_safetensors_only(checkpoint):
    weights = checkpoint / "model.safetensors"
    content = weights.read_bytes()
    for damaged in (content[:-3], content[:40], b"", b"\0" * 64, content + b"more"):
        weights.write_bytes(damaged)
        with pytest.raises(
            UsageError, match=r"is damaged or cut off \(.*\): fetch the checkpoint ag"
        ):
            weight_shapes(weight_files(checkpoint))
    weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(UsageError, match=r"model.safetensors is only a pointer: run git lfs pull"):
        weight_shapes(weight_files(checkpoint))
    weights.unlink()
    with pytest.raises(UsageError, match=r"lacks its weights: fetch model.safetensors, or all sh"):
        weight_files(checkpoint)
    (checkpoint / "pytorch_model.bin").write_bytes(b"cos\nsystem\n")
    with pytest.raises(
        UsageError, match=r"weights as a pickle \(pytorch_model.bin\), which may run"
    ):
        weight_files(checkpoint)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({"weight_map": {"a": "model-1.safetensors"}}, "lacks its weight file model-1.safetensors"),
        ({"weight_map": {"a": "../model.safetensors"}}, "index.json lists no weight files: fetch"),
        ({"weight_map": {"a": "/model.safetensors"}}, "index.json lists no weight files: fetch"),
        ({"weight_map": {"a": ".."}}, r"lacks its weight file \.\."),
        ({"weight_map": {"a": 3}}, "index.json lists no weight files: fetch the checkpoint"),
        ({"weight_map": {}}, "index.json lists no weight files: fetch the checkpoint again"),
        ({"metadata": {}}, "index.json lists no weight files: fetch the checkpoint again"),
    ],
)
def test_an_index_of_weights_names_files_that_are_there(checkpoint, index, message):
    (checkpoint / "model.safetensors").unlink()
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UsageError, match=message):
        weight_files(checkpoint)


def test_shards_are_found_by_the_index(checkpoint):
    files = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    (checkpoint / "model.safetensors").rename(checkpoint / files[0])
    shutil.copy(checkpoint / files[0], checkpoint / files[1])
    places = {"weight_map": {"a": files[1], "b": files[0], "c": files[1]}}
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps(places))
    assert [path.name for path in weight_files(checkpoint)] == files


def test_json_is_an_object_or_absent(tmp_path):
    assert read_json(tmp_path, "a.json") == {}
    for content, message in ((b"{", "cannot be read as JSON"), (b"3", "is no JSON object")):
        (tmp_path / "a.json").write_bytes(content)
        with pytest.raises(UsageError, match=f"a.json {message}: fetch the checkpoint again"):
            read_json(tmp_path, "a.json")


def test_a_misfit_names_the_first_three_of_each_kind():
    assert misfit([], [], []) == ""
    assert misfit(["b", "a"], []) == "lacks weights (a, b)"
    assert misfit("edcba", ["z"], [("w", (2, 3), (3,))]) == (
        "lacks weights (a, b, c and 2 more) and has unknown weights (z)"
        " and has misshapen weights (w is [2, 3], not [3])"
    )
    found = {"a": (1,), "b": (2, 2), "d": ()}
    assert shape_misfit(found, found) == ""
    assert shape_misfit(found, {"a": (1,), "b": (2,), "c": (), "o": ()}, optional=["o"]) == (
        "lacks weights (c) and has unknown weights (d) and has misshapen weights (b is [2, 2], not"
        " [2])"
    )


@pytest.mark.parametrize("name", [*NAMES, "sentencepiece.model"])
def test_a_hash_changes_with_each_deciding_file(checkpoint, name):
    before = file_hashes(checkpoint)
    content = bytearray((checkpoint / name).read_bytes())
    content[-1] ^= 1
    (checkpoint / name).write_bytes(content)
    after = file_hashes(checkpoint)
    assert {key for key in before if before[key] != after[key]} == {name}


def test_other_files_and_folders_below_do_not_enter(checkpoint):
    before = file_hashes(checkpoint)
    (checkpoint / "README.md").write_text("changed")
    (checkpoint / "kinoscope.json").write_text("changed")
    (checkpoint / "optimizer.pt").write_text("state")
    (checkpoint / "checkpoint-500").mkdir()
    (checkpoint / "checkpoint-500" / "model.safetensors").write_text("another")
    assert file_hashes(checkpoint) == before
    (checkpoint / "additional_chat_templates").mkdir()
    (checkpoint / "additional_chat_templates" / "tool.jinja").write_text("{{ x }}")
    assert file_hashes(checkpoint).keys() - before.keys() == {
        "additional_chat_templates/tool.jinja"
    }


def test_a_moved_folder_keeps_its_hashes(checkpoint, tmp_path):
    before = file_hashes(checkpoint)
    checkpoint.rename(tmp_path / "moved")
    assert file_hashes(tmp_path / "moved") == before
    shutil.copytree(tmp_path / "moved", tmp_path / "copied")
    assert file_hashes(tmp_path / "copied") == before


def test_unchanged_files_are_hashed_once(checkpoint, hashed):
    before = file_hashes(checkpoint)
    assert sorted(hashed) == sorted(before)
    hashed.clear()
    (checkpoint / "merges.txt").write_text("other")
    after = file_hashes(checkpoint)
    assert hashed == ["merges.txt"]
    assert after == before | {"merges.txt": sha256_of(checkpoint / "merges.txt")}


def test_a_file_that_two_snapshots_share_is_hashed_once(checkpoint, tmp_path, hashed):
    file_hashes(checkpoint)
    hashed.clear()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model.safetensors").symlink_to(checkpoint / "model.safetensors")
    assert file_hashes(tmp_path / "other")["model.safetensors"]
    assert not hashed


def test_a_change_is_seen_though_size_and_time_of_change_are_set_back(checkpoint):
    path = checkpoint / "model.safetensors"
    before, status = file_hashes(checkpoint), path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_mtime_ns == status.st_mtime_ns
    assert file_hashes(checkpoint)["model.safetensors"] != before["model.safetensors"]


def test_a_file_that_has_just_changed_is_not_remembered(checkpoint, hashed):
    file_hashes(checkpoint)
    for letter in "abcd":
        (checkpoint / "merges.txt").write_text(letter)
        assert file_hashes(checkpoint)["merges.txt"] == sha256_of(checkpoint / "merges.txt")
    hashed.clear()
    settle()
    file_hashes(checkpoint)
    assert hashed == ["merges.txt"]


def test_a_file_that_changes_while_it_is_read_is_not_remembered(checkpoint, monkeypatch, hashed):
    def slow(path: Path) -> str:
        value = sha256_of(path)
        if path.name == "merges.txt":
            path.write_text("changed meanwhile")
        return value

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_files, "sha256_of", slow)
        file_hashes(checkpoint)
    settle()
    assert file_hashes(checkpoint)["merges.txt"] == sha256_of(checkpoint / "merges.txt")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1]", b"[" * 100_000, b"\xff", b'{"x": 3}', "own"],
    ids=["empty", "cut", "list", "deep", "bytes", "foreign", "own keys"],
)
def test_a_damaged_or_foreign_memory_is_ignored(checkpoint, tmp_path, content):
    before = file_hashes(checkpoint)
    memory = tmp_path / "cache" / "hashes.json"
    if content == "own":
        keys = json.loads(memory.read_bytes())
        content = json.dumps(dict.fromkeys(keys, "0" * 63) | {"x": None}).encode()
    memory.write_bytes(content)
    assert file_hashes(checkpoint) == before
    assert set(json.loads(memory.read_bytes()).values()) == set(before.values())


def test_a_memory_that_cannot_be_written_is_done_without(checkpoint, tmp_path, monkeypatch):
    before = file_hashes(checkpoint)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KINOSCOPE_CACHE", str(tmp_path / "file" / "cache"))
    assert file_hashes(checkpoint) == before


def test_the_memory_stays_small_and_forgets_the_oldest(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_files, "_REMEMBERED", 8)
    file_hashes(checkpoint)
    other = shutil.copytree(checkpoint, tmp_path / "other")
    settle()
    file_hashes(other)
    keys = list(json.loads((tmp_path / "cache" / "hashes.json").read_bytes()))
    assert len(keys) == 8
    assert [key for key in keys if str(other) in key] == keys[-len(file_hashes(other)) :]


def test_writers_at_once_leave_a_whole_memory(checkpoint, tmp_path):
    folders = [shutil.copytree(checkpoint, tmp_path / f"copy{n}") for n in range(12)]
    settle()
    wanted = file_hashes(checkpoint)
    found, stop = [], threading.Event()

    def read() -> None:
        while not stop.is_set():
            json.loads((tmp_path / "cache" / "hashes.json").read_bytes())

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=lambda f=f: found.append(file_hashes(f))) for f in folders]
    reader.start()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    stop.set()
    reader.join()
    assert found == [wanted] * len(folders)
    json.loads((tmp_path / "cache" / "hashes.json").read_bytes())
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["hashes.json"]
