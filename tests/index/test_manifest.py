"""Wrong manifests and unwilling disks: one clear sentence each, and the index as it was."""

import errno
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from kinoscope.errors import IndexFault
from kinoscope.index import manifest
from kinoscope.index.store import Store
from tests.made_index import made_store, random_clips, row, spec


def test_a_manifest_names_format_and_spec(tmp_path) -> None:
    store = made_store(tmp_path / "index", {})
    values = json.loads((store.folder / "kinoscope.json").read_text())
    assert values["format"] == 3
    assert (store.folder / "kinoscope.copy.json").read_text() == json.dumps(values, indent=1)
    assert values["spec"] == vars(spec())
    assert Store.open(store.folder).spec == spec()


def test_two_indexes_are_told_apart_even_in_the_same_folder(tmp_path) -> None:
    first = made_store(tmp_path / "index", {"a": random_clips(2)})
    shutil.rmtree(first.folder)
    second = made_store(tmp_path / "index", {"b": random_clips(2)})
    assert first.versions() == second.versions()
    assert first.id != second.id


def test_a_newer_format_asks_for_an_upgrade(tmp_path) -> None:
    store = made_store(tmp_path / "index", {})
    path = store.folder / "kinoscope.json"
    path.write_text(json.dumps({"format": 4, "anything": "else"}))
    with pytest.raises(IndexFault, match="format 4, this version reads up to 3: upgrade"):
        Store.open(store.folder)


GOOD = {"format": 1, "id": "x", "spec": vars(spec())}
DAMAGED = {
    "empty": b"",
    "not JSON": b"\x00\xff",
    "deep": b"[" * 100_000,
    "a list": b"[1]",
    "no format": b"{}",
    "format is a word": json.dumps({**GOOD, "format": "1"}).encode(),
    "format is true": json.dumps({**GOOD, "format": True}).encode(),
    "format 0": json.dumps({**GOOD, "format": 0}).encode(),
    "no spec": json.dumps({"format": 1, "id": "x"}).encode(),
    "spec is null": json.dumps({**GOOD, "spec": None}).encode(),
    "spec lacks a field": json.dumps({**GOOD, "spec": {"model": "m"}}).encode(),
    "dimension is a word": json.dumps(
        {**GOOD, "spec": {**vars(spec()), "dimension": "8"}}
    ).encode(),
    "something more": json.dumps({**GOOD, "plugin": "evil"}).encode(),
    **{
        f"dimension {wrong}": json.dumps(
            {**GOOD, "spec": {**vars(spec()), "dimension": wrong}}
        ).encode()
        for wrong in (0, -8, 10**12, True, 8.0)
    },
    "id leads elsewhere": json.dumps({**GOOD, "id": "../../x"}).encode(),
    "id is empty": json.dumps({**GOOD, "id": ""}).encode(),
    "id is a number": json.dumps({**GOOD, "id": 3}).encode(),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_manifest_is_named_with_the_remedy(tmp_path, content) -> None:
    (tmp_path / "kinoscope.json").write_bytes(content)
    with pytest.raises(
        IndexFault, match=r"kinoscope.json is damaged \(.+\): see what can be saved"
    ):
        Store.open(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[1]",
        b"[" * 100_000,
        b'["/a\\u0000b"]',
        b'["films"]',
        b'[""]',
        b'["/a", "../b"]',
    ],
    ids=range(8),
)
def test_damaged_sources_are_named_with_the_remedy(tmp_path, content) -> None:
    store = made_store(tmp_path / "index", {})
    (store.folder / "sources.json").write_bytes(content)
    with pytest.raises(IndexFault, match=r"sources.json is damaged: delete it"):
        store.sources()


def test_small_files_are_replaced_whole_or_not_at_all(tmp_path) -> None:
    path = tmp_path / "x.json"
    manifest.write_json(path, [1])
    with pytest.raises(TypeError):
        manifest.write_json(path, [object()])
    assert json.loads(path.read_text()) == [1]
    assert list(tmp_path.iterdir()) == [path], "no draft stays behind"


@pytest.mark.skipif(os.name != "posix", reason="permission bits")
def test_other_users_can_read_an_index(tmp_path) -> None:
    store = made_store(tmp_path / "index", {})
    mask = os.umask(0)
    os.umask(mask)
    for name in ("kinoscope.json", "."):
        assert (store.folder / name).stat().st_mode & 0o444 == 0o444 & ~mask


# --- damaged tables


def test_a_lost_table_is_named_with_the_remedy(tmp_path) -> None:
    store = made_store(tmp_path / "index", {"a": random_clips(2)})
    shutil.rmtree(store.folder / "clips.lance")
    with pytest.raises(IndexFault, match="kinoscope doctor --repair"):
        store.clips()
    with pytest.raises(IndexFault, match=r"clips\.lance is missing"):
        store.versions()


@pytest.mark.parametrize("part", ["data", "_versions"])
def test_a_damaged_table_is_named_with_the_remedy(tmp_path, part) -> None:
    store = made_store(tmp_path / "index", {"a": random_clips(2)})
    for path in (store.folder / "files.lance" / part).iterdir():
        path.write_bytes(b"\x00" * 30)
    with pytest.raises(
        IndexFault,
        match=r"is damaged \(.+\): see what can be saved with `kinoscope doctor --repair --index /",
    ):
        store.files()


# --- unwilling disks


@contextmanager
def small_disk(folder: Path, size: str):
    """A real file system of that size; skips where one may not be mounted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.name != "posix" or shutil.which("mount") is None:
        pytest.skip("no mount here")
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("may not mount a file system here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def contents(store: Store) -> tuple:
    table = store.clips()
    return table.clip_ids, table.vectors_ND.tobytes(), store.files()


def big_video(seed: int):
    return [(f"big{i}", random_clips(400, seed + i)) for i in range(200)]


def test_a_full_disk_is_named_and_the_index_is_as_it_was(tmp_path) -> None:
    with small_disk(tmp_path / "disk", "2m") as disk:
        store = made_store(disk / "index", {"a": random_clips(20)})
        before = contents(store)
        videos = big_video(1)
        files = [row(f"/{name}", name) for name, _ in videos]
        with pytest.raises(IndexFault, match=r"disk is full at .*: free space and run the same"):
            store.commit(videos, files)
        assert contents(Store.open(store.folder)) == before
        with Store.open(store.folder).writing():
            pass
        assert contents(store) == before


def test_a_disk_that_fills_up_between_clips_and_files_shows_nothing_new(tmp_path) -> None:
    with small_disk(tmp_path / "disk", "2m") as disk:
        store = made_store(disk / "index", {"a": random_clips(2)})
        before = contents(store)
        ballast = disk / "ballast"
        put = Store._put

        def filling(self, name, *rest):
            if name == "files":
                with pytest.raises(OSError), ballast.open("wb", buffering=0) as stream:
                    while True:
                        stream.write(bytes(4096))
            put(self, name, *rest)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Store, "_put", filling)
            with pytest.raises(IndexFault, match="disk is full"):
                store.commit([("b", random_clips(2))], [row("/b", "b")])
        assert contents(store) == before
        assert store.count_orphans() == 1
        with pytest.raises(IndexFault, match="disk is full"):
            store.add_sources([Path("/films")])
        ballast.unlink()
        store.commit([("b", random_clips(2))], [row("/b", "b")])
        assert set(store.clips().video_ids) == {"a", "b"}
        assert store.count_orphans() == 0


def test_no_index_is_made_on_a_full_disk(tmp_path) -> None:
    with small_disk(tmp_path / "disk", "64k") as disk:
        (disk / "ballast").write_bytes(bytes(60 * 1024))
        with pytest.raises(IndexFault, match="disk is full"):
            Store.create(disk / "index", spec())
        (disk / "ballast").unlink()
        Store.create(disk / "index", spec())


def test_a_read_only_disk_can_be_read_but_not_written(tmp_path) -> None:
    with small_disk(tmp_path / "disk", "2m") as disk:
        store = made_store(disk / "index", {"a": random_clips(2)})
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        reader = Store.open(store.folder)
        assert len(reader.clips()) == 3
        with pytest.raises(IndexFault, match=r"no permission to use .* \(Read-only file system\)"):
            reader.commit([("b", random_clips(2))], [row("/b", "b")])
        with pytest.raises(IndexFault, match="Read-only"):
            Store.create(disk / "other", spec())


def test_a_limit_on_file_size_is_a_full_disk_too(tmp_path) -> None:
    store = made_store(tmp_path / "index", {"a": random_clips(2)})
    before = contents(store)
    program = (
        "import pathlib, resource, sys\n"
        "from kinoscope.errors import IndexFault\n"
        "from kinoscope.index.store import Store\n"
        "from tests.made_index import random_clips, row\n"
        "store = Store.open(pathlib.Path(sys.argv[1]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "videos = [(f'v{i}', random_clips(400)) for i in range(20)]\n"
        "try:\n"
        "    store.commit(videos, [row(f'/{v}', v) for v, _ in videos])\n"
        "except IndexFault as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(store.folder)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert "disk is full at" in done.stdout, done.stderr
    assert contents(store) == before


def test_a_write_that_finds_half_its_room_is_no_commit(tmp_path) -> None:
    """LanceDB says nothing then: every limit between nothing and enough is tried."""
    store = made_store(tmp_path / "index", {"a": random_clips(2)})
    program = (
        "import pathlib, resource, sys\n"
        "from kinoscope.errors import IndexFault\n"
        "from kinoscope.index.store import Store\n"
        "from tests.made_index import random_clips, row\n"
        "store, told = Store.open(pathlib.Path(sys.argv[1])), []\n"
        "hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]\n"
        "for limit in (800, 1200, 1600, 2000, 2400, 2800, 4000):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))\n"
        "    try:\n"
        "        store.commit([(f'v{limit}', random_clips(3))], [row('/x', f'v{limit}')])\n"
        "        told.append(limit)\n"
        "    except IndexFault as error:\n"
        "        assert 'disk is full' in str(error), error\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))\n"
        "    assert set(store.clips().video_ids) == {'a', *(f'v{n}' for n in told[-1:])}\n"
        "print(told)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(store.folder)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout == "[4000]\n", done.stderr
    assert set(store.clips().video_ids) == {"a", "v4000"}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device"), "disk is full"),
        (OSError(122, "Disk quota exceeded"), "disk is full"),
        (
            PermissionError(13, "Permission denied"),
            r"no permission to use .* \(Permission denied\)",
        ),
        (RuntimeError("lance error: IO: No space (os error 28), /src/a.rs:1"), "disk is full"),
        (RuntimeError("lance error: bad magic, /src/a.rs:1"), r"\(lance error: bad magic\)"),
        (ValueError("file is corrupt"), r"damaged \(file is corrupt\): see what can be saved"),
        (RuntimeError("Not found: clips.lance/data/1.lance"), "see what can be saved"),
        (RuntimeError("lance error: No such file (os error 2)"), "see what can be saved"),
    ],
)
def test_each_kind_of_disk_error_has_its_sentence(tmp_path, error, words) -> None:
    with pytest.raises(IndexFault, match=words) as caught, manifest.disk_faults(tmp_path):
        raise error
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "Cannot allocate memory"),
        (OSError("without a number"), "without a number"),
        (RuntimeError("lance error: IO: oops (os error 5), /src/a.rs:1"), "Input/output error"),
        (RuntimeError("LanceError(IO): invalid input (os error 24)"), "Too many open files"),
        (RuntimeError("Too many concurrent writers"), "Too many concurrent writers"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_an_error_that_may_pass_costs_no_index(tmp_path, error, words) -> None:
    wanted = pytest.raises(IndexFault, match=rf"\({words}\): try again")
    with wanted as caught, manifest.disk_faults(tmp_path):
        raise error
    assert "repair" not in str(caught.value)
    assert "damaged" not in str(caught.value)


def test_vectors_come_back_after_moving_the_index_folder(tmp_path) -> None:
    store = made_store(tmp_path / "index", {"a": random_clips(2)})
    before = store.clips()
    shutil.move(store.folder, tmp_path / "elsewhere")
    after = Store.open(tmp_path / "elsewhere").clips()
    assert np.array_equal(before.vectors_ND, after.vectors_ND)
