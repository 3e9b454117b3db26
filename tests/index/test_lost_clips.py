"""Files whose clips are lost: noticed, said, and forgotten, so that they are decoded again."""

import logging
from pathlib import Path

import lancedb

from kinoscope.index.store import Store
from tests.made_index import failed, made_store, random_clips, row, spec


def lose_clips(store: Store, condition: str) -> None:
    lancedb.connect(store.folder).open_table("clips").delete(condition)


def test_files_whose_clips_are_lost_are_forgotten_by_the_next_writer(tmp_path, caplog) -> None:
    videos = {name: random_clips(2) for name in ("it's", "b", "c")}
    store = made_store(tmp_path / "index", videos)
    store.commit([], [row("/copy.mp4", "it's"), failed("/broken.mp4", "it's")])
    assert store.count_lost() == 0
    lose_clips(store, "video_id != 'c'")
    assert store.count_lost() == 2
    assert len(store.files()) == 5, "a reader changes nothing"
    before = store.versions()[1]
    with caplog.at_level(logging.WARNING), store.writing():
        assert [r.path for r in store.files()] == ["/broken.mp4", "/films/c.mp4"]
        assert store.versions()[1] == before + 1, "in one step"
    assert "lost the clips of 2 videos" in caplog.text
    assert store.count_lost() == 0
    store.commit([("it's", random_clips(2))], [row("/copy.mp4", "it's")])
    assert set(store.clips().video_ids) == {"it's", "c"}


def test_an_emptied_table_of_a_large_library_is_noticed(tmp_path) -> None:
    store = Store.create(tmp_path / "index", spec())
    names = [f"{i:032x}" for i in range(20_000)]
    store.commit([("a", random_clips(1))], [row(f"/{name}", "a") for name in names])
    table = lancedb.connect(store.folder).open_table("files")
    table.update(values_sql={"video_id": "CAST(path AS STRING)"})
    assert store.count_lost() == len(names)
    with store.writing():
        assert store.files() == []


def test_no_normal_write_loses_a_video(tmp_path, caplog) -> None:
    store = made_store(tmp_path / "index", {"a": random_clips(2)})
    with caplog.at_level(logging.WARNING):
        with store.writing():
            store.commit([("b", random_clips(2))], [row("/b", "b")])
            store.add_sources([Path("/films")])
            store.commit([("c", random_clips(2))], [row("/b", "c"), row("/c", "c")])
            store.remove(["/c"])
        with Store.open(store.folder).writing():
            pass
    assert set(store.clips().video_ids) == {"a", "c"}
    assert len(store.files()) == 2
    assert not caplog.text


def test_a_video_that_is_removed_while_one_looks_is_not_lost(tmp_path, monkeypatch) -> None:
    store = made_store(tmp_path / "index", {"a": random_clips(2), "b": random_clips(2)})
    reader = Store.open(store.folder)
    column = Store._column

    def slow(self, name, *rest):
        if self is reader and name == "clips":
            store.remove(["/films/a.mp4"])
        return column(self, name, *rest)

    monkeypatch.setattr(Store, "_column", slow)
    assert reader.count_lost() == 0
