"""The store: what is visible, what survives a kill, and what happens when the disk refuses."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kinoscope.errors import IndexFault
from kinoscope.index import store as store_module
from kinoscope.index.store import FileRow, Store
from tests.made_index import D, clips, failed, made_store, random_clips, random_units, row, spec

HOSTILE_PATHS = [
    "/films/it's.mp4",
    "/films/'; DROP TABLE files; --.mp4",
    '/films/"quoted" \\ back.mp4',
    "/films/new\nline\ttab.mp4",
    "/films/фильм 映画 🎬.mp4",
    "/films/e\u0301.mp4",  # not the same bytes as the next
    "/films/\u00e9.mp4",
    "/films/\udcff\udcfe.mp4",  # bytes that are no Unicode
    "/-leading/dash.MP4",
    "/films/%_?*[x].mp4",
    "/" + "long/" * 800 + "a.mp4",
]


def kill_before_files(monkeypatch) -> None:
    """The next commit dies after its clips are written, before its files are."""
    put = Store._put

    def dying(self, name, *rest):
        if name == "files":
            raise KeyboardInterrupt
        put(self, name, *rest)

    monkeypatch.setattr(Store, "_put", dying)


def facts(store: Store) -> tuple:
    table = store.clips()
    return table.clip_ids, table.vectors_ND.tobytes(), store.files()


def test_what_is_committed_comes_back_exactly(tmp_path) -> None:
    videos = {"b": random_clips(3, 1), "a": random_clips(2, 2)}
    store = made_store(tmp_path / "index", videos)
    table = Store.open(tmp_path / "index").clips()
    assert table.clip_ids == (
        "a:whole:0", "a:4s:0", "a:4s:2000", "b:whole:0", "b:4s:0", "b:4s:2000", "b:4s:4000",
    )  # fmt: skip
    assert np.array_equal(table.vectors_ND, np.vstack([videos[v].vectors_ND for v in "ab"]))
    assert table.vectors_ND.dtype == np.float32
    assert table.end_s_N.tolist() == [6, 4, 6, 8, 4, 6, 8]
    assert [r.path for r in store.files()] == ["/films/a.mp4", "/films/b.mp4"]


def test_every_field_of_a_file_row_survives(tmp_path) -> None:
    store = Store.create(tmp_path / "index", spec())
    full = FileRow(
        path="/x.mp4", video_id="", size_bytes=2**40, mtime_ns=2**60 + 1, state="failed",
        fault="timeout", message="no progress on /\udcff.mp4", changed_at=1.5, duration_s=2.25,
        width=1920, height=1080, codec="av1", rotation=270, hdr=True, corrupt_packets=3,
        ends_early=True, tries=2,
    )  # fmt: skip
    store.commit([], [full])
    assert store.files() == [FileRow(**{**vars(full), "message": "no progress on /\\udcff.mp4"})], (
        "only half surrogates in a message are spelled out"
    )


def test_a_failed_file_shows_no_clips(tmp_path) -> None:
    store = made_store(tmp_path / "index", {"a": random_clips(2), "b": random_clips(2)})
    store.commit([], [failed("/films/a.mp4", "a")])
    assert set(store.clips().video_ids) == {"b"}
    assert store.count_clips() == len(store.clips()) == 3


def test_a_video_that_is_already_there_is_replaced_not_doubled(tmp_path) -> None:
    store = made_store(tmp_path / "index", {"a": random_clips(5, 1), "b": random_clips(2, 2)})
    shorter = random_clips(3, 9)
    store.commit([("a", shorter)], [row("/films/a.mp4", "a")])
    table = store.clips()
    of_a = np.array(table.video_ids) == "a"
    assert np.array_equal(table.vectors_ND[of_a], shorter.vectors_ND)
    assert (~of_a).sum() == 3


def test_the_same_video_and_path_twice_in_one_commit_count_once(tmp_path) -> None:
    store = Store.create(tmp_path / "index", spec())
    one = random_clips(2)
    store.commit([("a", one), ("a", one)], [row("/1", "a"), row("/2", "a"), row("/1", "a")])
    assert len(store.clips()) == 3
    assert [r.path for r in store.files()] == ["/1", "/2"]


def test_changed_content_leaves_no_clip_of_the_old(tmp_path) -> None:
    store = made_store(tmp_path / "index", {"old": random_clips(2)})
    store.commit([("new", random_clips(3))], [row("/films/old.mp4", "new")])
    assert set(store.clips().video_ids) == {"new"}
    assert store.count_orphans() == 0


def test_an_indexed_file_without_clips_is_our_error(tmp_path) -> None:
    store = Store.create(tmp_path / "index", spec())
    with pytest.raises(AssertionError, match="without clips"):
        store.commit([], [row("/a.mp4", "never-decoded")])


def test_vectors_of_another_dimension_are_our_error(tmp_path) -> None:
    store = Store.create(tmp_path / "index", spec())
    with pytest.raises(AssertionError, match="16"):
        store.commit([("a", random_clips(2, dimension=2 * D))], [row("/a.mp4", "a")])


# --- kills


def test_a_kill_between_clips_and_files_shows_no_part_of_the_video(tmp_path, monkeypatch) -> None:
    store = made_store(tmp_path / "index", {"a": random_clips(2)})
    before = facts(store)
    with monkeypatch.context() as patch:
        kill_before_files(patch)
        with pytest.raises(KeyboardInterrupt):
            store.commit([("b", random_clips(4))], [row("/b", "b")])
    reopened = Store.open(tmp_path / "index")
    assert facts(reopened) == before
    assert reopened.count_orphans() == 1
    with reopened.writing():
        assert reopened.count_orphans() == 0, "dropped on entry"
    reopened.commit([("b", random_clips(4))], [row("/b", "b")])
    assert len(reopened.clips()) == 3 + 5


def test_the_same_process_recovers_from_an_interrupted_commit(tmp_path, monkeypatch) -> None:
    store = Store.create(tmp_path / "index", spec())
    with store.writing():
        with monkeypatch.context() as patch:
            kill_before_files(patch)
            with pytest.raises(KeyboardInterrupt):
                store.commit([("b", random_clips(4))], [row("/b", "b")])
        store.commit([("b", random_clips(4))], [row("/b", "b")])
    assert len(store.clips()) == 5


def test_a_creation_that_was_killed_is_done_again(tmp_path, monkeypatch) -> None:
    folder = tmp_path / "index"
    with monkeypatch.context() as patch:
        patch.setattr(store_module.manifest, "write_manifest", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            Store.create(folder, spec())
    with pytest.raises(IndexFault, match="not a Kinoscope index"):
        Store.open(folder)
    (folder / ".kinoscope.json-draft").write_text("{")
    Store.create(folder, spec()).commit([("a", random_clips(2))], [row("/a", "a")])
    assert len(Store.open(folder).clips()) == 3


# --- removal


def test_removing_one_copy_keeps_the_clips_for_the_other(tmp_path) -> None:
    store = made_store(tmp_path / "index", {"a": random_clips(2), "b": random_clips(2)})
    store.commit([], [row("/copy.mp4", "a")])
    assert store.remove(["/films/a.mp4"]) == 1
    assert set(store.clips().video_ids) == {"a", "b"}
    assert store.remove(["/copy.mp4", "/copy.mp4", "/not/there.mp4"]) == 1
    assert set(store.clips().video_ids) == {"b"}
    assert store.count_orphans() == 0


def test_a_moved_file_keeps_its_clips(tmp_path) -> None:
    store = made_store(tmp_path / "index", {"a": random_clips(2)})
    version = store.versions()[0]
    with store.writing():
        store.commit([], [row("/new/a.mp4", "a")])
        store.remove(["/films/a.mp4"])
    assert [r.path for r in store.files()] == ["/new/a.mp4"]
    assert len(store.clips()) == 3
    assert store.versions()[0] == version, "no clip was written again"


def test_removing_many_at_once(tmp_path) -> None:
    store = Store.create(tmp_path / "index", spec())
    names = [f"v{i:04d}" for i in range(2300)]
    one = clips(random_units(1), whole=random_units(1)[0])
    store.commit([(name, one) for name in names], [row(f"/{name}", name) for name in names])
    assert store.remove([f"/{name}" for name in names[1:]]) == 2299
    assert set(store.clips().video_ids) == {"v0000"}


@pytest.mark.parametrize("path", HOSTILE_PATHS, ids=range(len(HOSTILE_PATHS)))
def test_no_path_is_taken_for_a_command(tmp_path, path) -> None:
    store = made_store(tmp_path / "index", {"other": random_clips(2)})
    store.commit([("it's", random_clips(2))], [row(path, "it's")])
    store.commit([("it's", random_clips(2))], [row(path, "it's", tries=3)])
    assert {r.path: r.tries for r in store.files()} == {path: 3, "/films/other.mp4": 0}
    assert store.remove([path]) == 1
    assert [r.path for r in store.files()] == ["/films/other.mp4"]
    assert set(store.clips().video_ids) == {"other"}


IDS = st.sampled_from(["a", "b'", "c"])
PATHS = st.sampled_from(["/1", "/2'", "/3"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), PATHS, IDS),
        st.tuples(st.just("fail"), PATHS, IDS),
        st.tuples(st.just("remove"), PATHS, st.none()),
        st.tuples(st.just("compact"), st.none(), st.none()),
    ),
    max_size=6,
)


@given(steps=STEPS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_order_of_changes_equals_a_plain_dictionary(tmp_path_factory, steps) -> None:
    store = Store.create(tmp_path_factory.mktemp("any") / "index", spec())
    naive: dict[str, tuple[str, str]] = {}
    for step, path, video_id in steps:
        if step == "commit":
            store.commit([(video_id, random_clips(2))], [row(path, video_id)])
            naive[path] = ("indexed", video_id)
        elif step == "fail":
            store.commit([], [failed(path, video_id)])
            naive[path] = ("failed", video_id)
        elif step == "remove":
            assert store.remove([path]) == (naive.pop(path, None) is not None)
        else:
            store.compact()
    assert {r.path: (r.state, r.video_id) for r in store.files()} == naive
    visible = {video_id for state, video_id in naive.values() if state == "indexed"}
    assert set(store.clips().video_ids) == visible
    assert len(store.clips()) == 3 * len(visible) == store.count_clips()


# --- versions, readers, writers


def test_versions_are_those_of_the_tables_and_grow_with_every_change(tmp_path) -> None:
    store = made_store(tmp_path / "index", {"a": random_clips(2)})
    seen = [store.versions()]
    for change in (
        lambda: store.commit([("b", random_clips(2))], [row("/b", "b")]),
        lambda: store.commit([], [row("/b", "b", tries=1)]),
        lambda: store.remove(["/b"]),
        store.compact,
    ):
        change()
        seen.append(store.versions())
        assert store.snapshot()[0] == seen[-1]
    assert all(new >= old for old, new in itertools.pairwise(seen))
    assert len(set(seen[:-1])) == len(seen) - 1


def test_readers_see_a_whole_state_while_a_writer_is_at_work(tmp_path, monkeypatch) -> None:
    store = made_store(tmp_path / "index", {"a": random_clips(2)})
    reader = Store.open(tmp_path / "index")
    with store.writing():
        store.commit([("b", random_clips(2))], [row("/b", "b")])
        assert set(reader.clips().video_ids) == {"a", "b"}
        table = reader.clips()
        store.remove(["/b"])
        store.compact()
        assert len(table) == 6, "what was read stays"
        assert set(reader.clips().video_ids) == {"a"}


def test_a_second_writer_is_told_who_is_at_work(tmp_path) -> None:
    store = made_store(tmp_path / "index", {"a": random_clips(2)})
    program = (
        "import sys, pathlib\n"
        "from kinoscope.index.store import Store\n"
        "with Store.open(pathlib.Path(sys.argv[1])).writing():\n"
        "    print('in', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(store.folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "in\n"
        with pytest.raises(IndexFault, match=rf"another process .* \(pid {other.pid}\)"):
            store.commit([], [failed("/x")])
        assert len(store.clips()) == 3, "reading needs no lock"
        other.kill()
        other.communicate()
    store.commit([], [failed("/x")])  # the lock of a killed process is free


def test_two_stores_of_one_process_exclude_each_other(tmp_path) -> None:
    store = made_store(tmp_path / "index", {})
    with (
        store.writing(),
        pytest.raises(IndexFault, match="another process"),
        Store.open(store.folder).writing(),
    ):
        pass
    with Store.open(store.folder).writing():
        pass


def test_sources_are_absolute_and_named_once(tmp_path, monkeypatch) -> None:
    store = made_store(tmp_path / "index", {})
    assert store.sources() == ()
    monkeypatch.chdir(tmp_path)
    store.add_sources([Path("b/../films"), Path("/films/\udcff")])
    store.add_sources([tmp_path / "films"])
    reopened = Store.open(store.folder)
    assert reopened.sources() == (tmp_path / "films", Path("/films/\udcff"))
    reopened.remove_sources([tmp_path / "films", Path("/never")])
    assert reopened.sources() == (Path("/films/\udcff"),)


# --- wrong folders


def test_a_missing_folder_is_named_with_the_remedy(tmp_path) -> None:
    with pytest.raises(IndexFault, match=r"no index at .*nowhere: create it with"):
        Store.open(tmp_path / "nowhere")


def test_a_foreign_folder_or_file_is_no_index(tmp_path) -> None:
    (tmp_path / "holiday.mp4").write_bytes(b"x")
    for path in (tmp_path, tmp_path / "holiday.mp4"):
        with pytest.raises(IndexFault, match="not a Kinoscope index"):
            Store.open(path)


@pytest.mark.parametrize("kind", ["foreign files", "an index", "a file"])
def test_nothing_is_created_over_what_is_there(tmp_path, kind) -> None:
    folder = tmp_path / "there"
    if kind == "an index":
        made_store(folder, {"a": random_clips(2)})
    elif kind == "a file":
        folder.write_text("mine")
    else:
        folder.mkdir()
        (folder / "clips.lance").mkdir()
        (folder / "thesis.doc").write_text("mine")
    listing = sorted(map(str, tmp_path.rglob("*")))
    with pytest.raises(IndexFault, match=r"is not empty|is an index already|is a file"):
        Store.create(folder, spec())
    assert sorted(map(str, tmp_path.rglob("*"))) == listing
