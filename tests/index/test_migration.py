"""Indexes of formats 1 and 2, as earlier versions wrote them, are read, and brought up to date."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from kinoscope.index import migration
from kinoscope.index.repair import damaged_videos
from kinoscope.index.store import Store
from tests.made_index import random_clips, row

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(params=[1, 2])
def old(request, tmp_path) -> Path:
    """A copy of an index of that format: videos a (3 windows) and b (2), and a broken file."""
    name = f"index_format_{request.param}"
    return Path(shutil.copytree(DATA / name, tmp_path / name))


def facts(store: Store) -> tuple:
    clips = store.clips()
    columns = (clips.start_s_N.tolist(), clips.end_s_N.tolist(), clips.steps_N.tolist())
    return clips.clip_ids, clips.vectors_ND.tobytes(), *columns, clips.reasons, store.files()


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_an_old_index_is_read_as_it_is(old) -> None:
    before = everything(old)
    store = Store.open(old)
    expected = np.vstack(
        [random_clips(3, ord("a")).vectors_ND, random_clips(2, ord("b")).vectors_ND]
    )
    assert np.array_equal(store.clips().vectors_ND, expected)
    assert [r.path for r in store.files()] == [
        "/films/a.mp4",
        "/films/b.mp4",
        "/films/broken.mp4",
    ]
    assert store.is_outdated()
    assert damaged_videos(store) == set()
    assert everything(old) == before, "a reader changes nothing"


def test_the_first_writer_brings_it_up_to_date_and_changes_nothing_else(old) -> None:
    store = Store.open(old)
    before, identity, versions = facts(store), store.id, store.versions()
    with store.writing():
        pass
    again = Store.open(old)
    assert facts(again) == before
    assert (again.id, again.format, again.is_outdated()) == (identity, 3, False)
    assert damaged_videos(again) == set()
    assert again.versions() == (versions[0] + 1, versions[1]), "in one step"
    with again.writing():
        pass
    assert again.versions()[0] == versions[0] + 1, "once"


def test_what_is_then_written_stands_beside_the_old(old) -> None:
    store = Store.open(old)
    vectors = random_clips(1, 9)
    if store.spec.thinks:
        vectors = type(vectors)(
            vectors.spans, vectors.scales, vectors.vectors_ND, (1, 1), ("length", "length")
        )
    store.commit([("c", vectors)], [row("/films/c.mp4", "c")])
    store.remove(["/films/a.mp4"])
    assert set(Store.open(old).clips().video_ids) == {"b", "c"}
    assert damaged_videos(store) == set()


def test_a_kill_before_the_table_is_rewritten_is_made_good_by_the_next_writer(
    old, monkeypatch
) -> None:
    def die(_clips):
        raise KeyboardInterrupt

    before = facts(Store.open(old))
    with monkeypatch.context() as patch:
        patch.setattr(migration, "add_checks", die)
        with pytest.raises(KeyboardInterrupt), Store.open(old).writing():
            pass
    assert json.loads((old / "kinoscope.json").read_text())["format"] == 3
    assert facts(Store.open(old)) == before
    with Store.open(old).writing():
        pass
    assert facts(Store.open(old)) == before
    assert not Store.open(old).is_outdated()


def test_a_large_old_table_is_rewritten_in_pieces(old, monkeypatch) -> None:
    monkeypatch.setattr(migration, "_ROWS_AT_ONCE", 2)
    before = facts(Store.open(old))
    with Store.open(old).writing():
        pass
    assert facts(Store.open(old)) == before
    assert damaged_videos(Store.open(old)) == set()
