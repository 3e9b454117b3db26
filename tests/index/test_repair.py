"""Repair: each kind of damage is found, mended only when asked, and costs no row that is whole."""

import json
import shutil
from pathlib import Path

import lancedb
import numpy as np
import pytest

from kinoscope.errors import IndexFault
from kinoscope.index import salvage
from kinoscope.index.derived import open_derived
from kinoscope.index.repair import damaged_videos, repair
from kinoscope.index.store import Store
from tests.index.test_migration import everything
from tests.made_index import made_store, random_clips, row


@pytest.fixture
def store(tmp_path) -> Store:
    """Three commits of a video each: a, b, c."""
    made = made_store(tmp_path / "index", {"a": random_clips(3, 1)})
    for seed, name in ((2, "b"), (3, "c")):
        made.commit([(name, random_clips(3, seed))], [row(f"/films/{name}.mp4", name)])
    return made


def facts(store: Store) -> tuple:
    clips = Store.open(store.folder).clips()
    return clips.clip_ids, clips.vectors_ND.tobytes(), store.files()


def shown(store: Store) -> set[str]:
    return set(Store.open(store.folder).clips().video_ids)


def newest(folder: Path, pattern: str) -> Path:
    return max(folder.glob(pattern), key=lambda path: path.stat().st_mtime_ns)


def mended(store: Store) -> list[str]:
    """Names of what a dry run finds; the same must then be mended, and nothing be left."""
    before = everything(store.folder)
    dry = list(repair(store.folder))
    assert everything(store.folder) == before, "a dry run changes nothing"
    assert not any(mending.done for mending in dry)
    wet = list(repair(store.folder, write=True))
    assert all(mending.done for mending in wet)
    assert [m.name for m in wet][: len(dry)] == [m.name for m in dry]
    assert list(repair(store.folder)) == [], "nothing is left"
    return [mending.name for mending in wet]


def test_a_sound_index_is_left_as_it_is(store) -> None:
    open_derived(store)
    before = everything(store.folder)
    assert list(repair(store.folder)) == []
    assert list(repair(store.folder, write=True)) == []
    after = everything(store.folder)
    assert {k: v for k, v in after.items() if "writer." not in k} == {
        k: v for k, v in before.items() if "writer." not in k
    }


@pytest.mark.parametrize("content", [b"", b"\0" * 600, None], ids=["empty", "zeros", "half"])
@pytest.mark.parametrize("name", ["clips", "files"])
def test_a_torn_newest_version_costs_that_version_only(store, name, content) -> None:
    """What a power cut leaves of a commit that nobody was told is done."""
    before = facts(store)
    store.commit([("d", random_clips(3, 4))], [row("/films/d.mp4", "d")])
    path = min((store.folder / f"{name}.lance" / "_versions").glob("*.manifest"))
    path.write_bytes(path.read_bytes()[:200] if content is None else content)
    with pytest.raises(IndexFault, match="kinoscope doctor --repair"):
        Store.open(store.folder).snapshot()
    names = mended(store)
    assert names[0] == f"{name}.lance"
    assert facts(store) == before
    assert any((store.folder / "damaged").iterdir()), "set aside, not deleted"
    store.commit([("d", random_clips(3, 4))], [row("/films/d.mp4", "d")])
    assert shown(store) == {"a", "b", "c", "d"}


@pytest.mark.parametrize("keep", [0, 700])
def test_damaged_data_costs_the_rows_in_it_only(store, keep) -> None:
    """Also where older versions need the same file, so that none of them is whole."""
    first = min(
        (store.folder / "clips.lance" / "data").iterdir(), key=lambda p: p.stat().st_mtime_ns
    )
    first.write_bytes(first.read_bytes()[:keep])
    assert mended(store)[0] == "clips.lance"
    assert shown(store) <= {"b", "c"}
    store.commit([("a", random_clips(3, 1))], [row("/films/a.mp4", "a")])
    assert "a" in shown(store)


def test_rows_beside_damaged_ones_are_kept_in_a_large_table(tmp_path) -> None:
    store = made_store(tmp_path / "index", {f"v{i:03}": random_clips(9, i) for i in range(40)})
    store.commit([("late", random_clips(3, 99))], [row("/films/late.mp4", "late")])
    newest(store.folder, "clips.lance/data/*").unlink()
    mended(store)
    assert len(shown(store)) == 40


def flip(store: Store, vector_D: np.ndarray) -> None:
    """Changes one bit of a vector where it lies on the disk."""
    wanted = vector_D.tobytes()
    for path in (store.folder / "clips.lance" / "data").iterdir():
        content = path.read_bytes()
        if (at := content.find(wanted)) >= 0:
            path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
            return
    raise AssertionError("the vector is not there")


def test_one_flipped_bit_of_one_vector_is_found_and_its_video_forgotten(store) -> None:
    flip(store, random_clips(3, 2).vectors_ND[1])
    assert damaged_videos(store) == {"b"}
    assert mended(store) == ["damaged clips"]
    assert shown(store) == {"a", "c"}
    assert [r.path for r in store.files()] == ["/films/a.mp4", "/films/c.mp4"]


@pytest.mark.parametrize("name", ["kinoscope.json", "kinoscope.copy.json"])
@pytest.mark.parametrize("content", [None, b"", b'{"format": 3}'])
def test_one_manifest_is_made_from_the_other(store, name, content) -> None:
    path, before = store.folder / name, facts(store)
    path.unlink() if content is None else path.write_bytes(content)
    assert mended(store) == [name]
    assert facts(store) == before
    one, other = (
        (store.folder / n).read_bytes() for n in ("kinoscope.json", "kinoscope.copy.json")
    )
    assert one == other
    assert json.loads(one)["id"] == store.id


def test_without_both_manifests_nothing_is_touched(store) -> None:
    for name in ("kinoscope.json", "kinoscope.copy.json"):
        (store.folder / name).write_bytes(b"")
    before = everything(store.folder)
    with pytest.raises(IndexFault, match="it is not JSON"):
        list(repair(store.folder, write=True))
    assert {k: v for k, v in everything(store.folder).items() if k in before} == before


def test_damaged_sources_are_set_aside(store) -> None:
    (store.folder / "sources.json").write_bytes(b"[1]")
    assert mended(store) == ["sources.json"]
    assert store.sources() == ()


@pytest.mark.parametrize("name", ["clips", "files"])
def test_a_table_that_is_gone_is_begun_anew(store, name) -> None:
    shutil.rmtree(store.folder / f"{name}.lance")
    assert mended(store)[0] == f"{name}.lance"
    assert shown(store) == set()
    store.commit([("a", random_clips(3, 1))], [row("/films/a.mp4", "a")])
    assert shown(store) == {"a"}


def test_clips_without_files_and_files_without_clips_are_forgotten(store) -> None:
    tables = lancedb.connect(store.folder)
    tables.open_table("clips").delete("video_id = 'a'")
    tables.open_table("files").delete("video_id = 'b'")
    assert set(mended(store)) <= {"lost clips", "orphans"}
    assert shown(store) == {"c"}
    assert [r.path for r in store.files()] == ["/films/c.mp4"]


def test_search_arrays_that_are_not_those_of_the_tables_are_deleted(store) -> None:
    stamp = open_derived(store).stamp
    path = store.folder / "derived" / stamp / "start_s_N.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 64
    path.write_bytes(content)
    assert mended(store) == ["search arrays"]
    assert open_derived(store).catalog.start_s_N.tolist()[:2] == [0, 0]


def test_an_index_at_which_another_process_writes_is_not_repaired(store, tmp_path) -> None:
    with store.writing(), pytest.raises(IndexFault, match="another process is indexing"):
        list(repair(store.folder, write=True))


def test_an_index_without_its_manifest_is_not_taken_for_an_empty_folder(store) -> None:
    store.add_sources([Path("/films")])
    before = facts(store)
    (store.folder / "kinoscope.json").unlink()
    for attempt in (Store.create, lambda folder, _spec: Store.open(folder)):
        with pytest.raises(IndexFault, match=r"has lost its kinoscope.json: see what can be saved"):
            attempt(store.folder, store.spec)
    mended(store)
    assert facts(store) == before


def test_the_command_says_what_it_would_do_and_does_it_when_told_to(store, run) -> None:
    flip(store, random_clips(3, 2).vectors_ND[1])
    code, out, err = run("doctor", "--repair", "--index", store.folder)
    assert (code, out.split()[:2]) == (4, ["to", "do"])
    assert "clips of 1 videos are not what was written; forget them; index again" in out
    assert "1 to mend in" in err
    assert shown(store) == {"a", "b", "c"}
    code, out, err = run("doctor", "--repair", "--yes", "--json", "--index", store.folder)
    assert (code, json.loads(out)["done"]) == (0, True)
    assert shown(store) == {"a", "c"}
    assert run("doctor", "--repair", "--index", store.folder)[:2] == (0, "")
    assert run("doctor", "--yes", "--index", store.folder)[0] == 2


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("lance error: LanceError(IO): oops (os error 5), /src/a.rs:1"),
        RuntimeError("lance error: LanceError(IO): no (os error 13), /src/a.rs:1"),
        OSError(24, "Too many open files"),
    ],
)
def test_a_disk_that_refuses_for_now_is_no_damage(store, monkeypatch, error) -> None:
    def refuse(*_arguments):
        raise error

    before = everything(store.folder)
    with monkeypatch.context() as patch:
        patch.setattr(salvage, "schemas", refuse)
        for write in (False, True):
            with pytest.raises(IndexFault, match=r"try again|no permission"):
                list(repair(store.folder, write=write))
    assert {k: v for k, v in everything(store.folder).items() if k in before} == before
    assert list(repair(store.folder)) == []


def test_a_folder_that_is_no_index_is_refused(tmp_path) -> None:
    with pytest.raises(IndexFault, match="is not a Kinoscope index"):
        list(repair(tmp_path, write=True))
    assert list(tmp_path.iterdir()) == []
