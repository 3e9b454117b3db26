"""What is kept comes back bit for bit, or not at all; a full disk is no end."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.documents import Excerpt
from kinoscope.errors import MediaError
from kinoscope.evaluation.runner.asking import Asking
from kinoscope.evaluation.runner.kept import Contents, Kept, item
from kinoscope.evaluation.runner.kept_backbone import KeptBackbone
from kinoscope.types import ClipEmbeddings, Content, Span
from tests.evaluation.runner.made import embedder, films

SPEC = embedder().spec


def unit(count, seed=0):
    rows_ND = np.random.default_rng(seed).normal(size=(count, SPEC.dimension))
    return np.asarray(rows_ND / np.linalg.norm(rows_ND, axis=1, keepdims=True), np.float32)


def test_vectors_windows_scores_and_words_come_back_bit_for_bit(tmp_path):
    kept = Kept(SPEC, tmp_path)
    rows_ND = unit(3)
    spans = (Span(0.0, 0.1 + 0.2), Span(0.0, 1 / 3), Span(1e-9, 0.3))
    clips = ClipEmbeddings(spans, ("whole", "4s", "4s"), rows_ND, (1, 2, 3), ("halt", "cap", "cap"))
    kept.keep_vector("a", rows_ND[0])
    kept.keep_windows("b", clips)
    scores_K = np.array([-0.1, -1e300, 1 / 3])
    kept.keep_scores("d", scores_K)
    for again in (kept, Kept(SPEC, tmp_path)):
        assert np.array_equal(again.vector("a"), rows_ND[0])
        found = again.windows("b")
        assert (found.spans, found.scales) == (clips.spans, clips.scales)
        assert (found.steps, found.reasons) == (clips.steps, clips.reasons)
        assert np.array_equal(found.vectors_ND, rows_ND)
        assert np.array_equal(again.scores("d", 3), scores_K)
        assert again.vector("c") is None and again.windows("c") is None and again.words("c") is None


@given(st.text(st.characters(codec="utf-8")))
def test_any_answer_comes_back(tmp_path_factory, answer):
    kept = Kept(SPEC, tmp_path_factory.mktemp("kept"))
    kept.keep_words("a", answer)
    assert kept.words("a") == answer


def test_an_entry_of_another_form_counts_as_absent(tmp_path):
    kept = Kept(SPEC, tmp_path)
    kept.keep_vector("long", np.ones(3, np.float32))
    kept.keep_vector("zero", np.zeros(SPEC.dimension, np.float32))
    kept.keep_vector("nan", np.full(SPEC.dimension, np.nan, np.float32))
    kept.keep_words("words", "no spans\nx")
    assert [kept.vector(name) for name in ("long", "zero", "nan", "words")] == [None] * 4
    assert kept.windows("words") is None
    kept.keep_scores("inf", np.array([-1.0, -np.inf]))
    kept.keep_scores("three", np.array([-1.0, -2.0, -3.0]))
    assert [kept.scores(name, 2) for name in ("inf", "three", "long", "words", "none")] == [
        None
    ] * 5


def test_a_full_store_warns_once_and_the_run_goes_on(tmp_path):
    films(tmp_path, 2)
    model = embedder()
    asking = Asking(model, Kept(SPEC, tmp_path / "kept", max_bytes=40))
    with pytest.warns(UserWarning, match="is full: delete what is no longer needed; going on"):
        found_ND = asking.encode_query(["a", "b", "c"])
    assert np.array_equal(found_ND, model.encode_query(["a", "b", "c"]))
    assert np.array_equal(asking.encode_query(["d"])[0], model.encode_query("d"))


def test_names_differ_where_what_is_asked_does():
    asked = [
        ("query", "text", "a"), ("document", "text", "a"), ("query", "text", "b"),
        ("query", "video", None, "a", False), ("query", "video", None, "a", True),
        ("answer", "a", "b", ["c"]), ("answer", "a", "b", []), ("answer", "a", "b", ["c", ""]),
    ]  # fmt: skip
    assert len({item(*each) for each in asked}) == len(asked)
    assert item("a", ("b",)) == item("a", ["b"])


def test_texts_are_kept_by_their_role_and_equal_ones_asked_once(tmp_path):
    model = embedder()
    asking = Asking(model, Kept(SPEC, tmp_path))
    asking.encode_query(["a", "b", "a"])
    assert model.backbone.contents == 2
    asking.encode_document([{"text": "a"}])
    assert model.backbone.contents == 3, "a document is not a query"
    assert asking.encode_query(["b", "a"]).shape == (2, 7) and model.backbone.contents == 3
    assert asking.encode_query([]).shape == (0, 7)
    assert asking.texts == {"a", "b"}


def test_progress_counts_on_from_group_to_group(tmp_path, monkeypatch):
    monkeypatch.setattr("kinoscope.evaluation.runner.asking._EVERY_S", 0.0)
    told: list[str] = []
    asking = Asking(embedder(), Kept(SPEC, tmp_path), tell=told.append)
    list(KeptBackbone(asking).states([Content(text=f"text {n}") for n in range(130)]))
    assert told == [f"vectors: {n}" for n in range(1, 131)]
    asking.encode_query(["another"])
    assert told[-1] == "inputs: 1 of 1"


def test_excerpts_of_a_file_are_kept_apart(tmp_path):
    films(tmp_path, 1)
    path = tmp_path / "videos" / "v0.mp4"
    model = embedder()
    asking = Asking(model, Kept(SPEC, tmp_path / "kept"))
    begun, later = (Excerpt(path, Span(at_s, at_s + 1.0)) for at_s in (0.0, 1.0))
    first_2D = asking.encode_document([begun, later])
    assert (first_2D[0] != first_2D[1]).any()
    asked = model.backbone.contents
    assert (asking.encode_document([later, begun]) == first_2D[::-1]).all()
    assert model.backbone.contents == asked, "nothing is embedded twice"


def test_a_file_is_known_by_its_content(tmp_path):
    films(tmp_path, 2)
    one, other = (tmp_path / "videos" / f"v{n}.mp4" for n in range(2))
    copy = tmp_path / "copy.MP4"
    copy.write_bytes(one.read_bytes())
    contents = Contents()
    assert contents.of(one) == contents.of(copy) != contents.of(other)
    copy.write_bytes(other.read_bytes())
    assert contents.of(copy) == contents.of(other)
    copy.unlink()
    with pytest.raises(MediaError, match=r"copy\.MP4 is gone"):
        contents.of(copy)


def test_the_folder_says_of_which_embedder_it_is(tmp_path):
    kept = Kept(SPEC, tmp_path)
    kept.keep_vector("a", unit(1)[0])
    told = json.loads((kept.folder / "about.json").read_text())
    assert told["weights"] == SPEC.weights and SPEC.fingerprint in kept.folder.name
