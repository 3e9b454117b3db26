"""`Index`: opening, creating, forgetting, describing, and the embedder that belongs to it."""

from pathlib import Path

import pytest

from kinoscope.backbones.options import LoadOptions
from kinoscope.embedder import Embedder
from kinoscope.errors import IndexFault, SpecMismatch, UsageError
from kinoscope.index import handle
from kinoscope.index.handle import Index
from kinoscope.sampling import SamplingConfig, Window
from kinoscope.thinking.config import Thinking
from kinoscope.types import EmbedderSpec
from tests.made_index import Words, failed, made_index, random_clips, row, spec


def test_create_makes_what_open_opens(tmp_path) -> None:
    Index.create(tmp_path / "index", spec())
    assert Index.open(str(tmp_path / "index")).spec == spec()
    with pytest.raises(IndexFault, match="is an index already"):
        Index.create(tmp_path / "index", spec())


def test_open_makes_an_index_only_if_asked_to(tmp_path) -> None:
    embedder = Embedder(Words())
    with pytest.raises(IndexFault, match="no index at"):
        Index.open(tmp_path / "index", embedder)
    made = Index.open(tmp_path / "index", embedder, create=True)
    made.store.commit([("a", random_clips(2))], [row("/a", "a")])
    assert len(Index.open(tmp_path / "index", embedder, create=True).files()) == 1


def test_open_with_create_leaves_a_foreign_folder_alone(tmp_path) -> None:
    (tmp_path / "thesis.doc").write_text("mine")
    with pytest.raises(IndexFault, match="is not empty"):
        Index.open(tmp_path, Embedder(Words()), create=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.doc"]


def test_remove_forgets_files_folders_and_what_was_watched(tmp_path) -> None:
    index = made_index(tmp_path / "index", {"a": random_clips(2), "b": random_clips(2)})
    index.store.commit([], [row("/films2/a.mp4", "a"), failed("/films/deep/x.mp4")])
    index.store.add_sources([Path("/films"), Path("/films/deep"), Path("/films2")])
    assert index.remove("/films2/a.mp4", "/nowhere") == 1
    assert index.remove("/films/") == 3
    assert index.files() == []
    assert index.store.sources() == (Path("/films2"),)
    with pytest.raises(UsageError, match="/films: not in the index"):
        index.remove("/films")


def test_describe_counts_videos_once_and_quarantined_files_apart(tmp_path) -> None:
    index = made_index(tmp_path / "index", {"a": random_clips(2), "b": random_clips(1)})
    rows = [row("/copy", "a"), row("/films/b.mp4", "b", duration_s=3596.0)]
    index.store.commit([], [*rows, failed("/x")])
    facts = index.describe()
    assert (facts["files"], facts["videos"], facts["quarantined"], facts["clips"]) == (4, 2, 1, 5)
    assert facts["hours"] == 1.0
    assert facts["size_mb"] > 0


@pytest.mark.parametrize(
    "sampling",
    [
        SamplingConfig(),
        SamplingConfig(policy="keyframe", fps=0.5, min_frames=1, side_px=8, windows=()),
        SamplingConfig(
            fps=29.97,
            windows=(Window(length_s=1.5, stride_s=0.25), Window(length_s=1e-05, stride_s=1e-06)),
        ),
        SamplingConfig(windows=(Window(length_s=1e20, stride_s=3.0),)),
    ],
)
def test_an_index_asks_for_the_embedder_that_made_it(tmp_path, monkeypatch, sampling) -> None:
    embedder = Embedder(Words(), sampling=sampling)
    Index.open(tmp_path / "index", embedder, create=True)
    asked = {}

    def load(model, **arguments):
        asked.update(arguments, model=model)
        return embedder

    monkeypatch.setattr(handle.Embedder, "load", load)
    assert Index.open(tmp_path / "index").embedder is embedder
    assert asked.pop("options") == LoadOptions(offline=True)
    assert asked.pop("thinking") == Thinking()
    assert asked == {"model": "words", "sampling": sampling, "truncate_dim": 8, "threads": None}
    assert Index.open(tmp_path / "index").loader(threads=3)() is embedder
    assert asked["threads"] == 3


@pytest.mark.parametrize(
    "text", ["", "exact", "exact 1fps min4 260px", "fast 1fps min4 260px 4s/2s", "exact 1fps\n"]
)
def test_a_sampling_of_another_version_is_named(tmp_path, text) -> None:
    other = EmbedderSpec(**{**vars(spec()), "sampling": text})
    index = Index.create(tmp_path / "index", other)
    with pytest.raises(SpecMismatch, match="is not one that this version knows"):
        _ = index.embedder


def test_add_without_anything_to_watch_is_refused(tmp_path) -> None:
    index = made_index(tmp_path / "index", {})
    with pytest.raises(UsageError, match="nothing is watched yet"):
        index.add()
