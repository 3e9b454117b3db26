"""The sample-clip task on made vectors, labels and videos: what it counts and against what."""

import sys

import numpy as np
import pytest

from kinoscope.errors import SetupError, UsageError
from kinoscope.evaluation.sample_clips import (
    Described,
    bm25_by_form,
    bm25_scores,
    mean_labels,
    measure,
)
from kinoscope.samples import write_video
from kinoscope.sampling import SamplingConfig

ANIMALS = ["fox", "owl", "yak", "cod", "emu", "ant"]


def unit(rows_ND):
    return (rows_ND / np.linalg.norm(rows_ND, axis=1, keepdims=True)).astype(np.float32)


def made(seed=0, noise=0.3, labels=None, shared=0.0):
    """Clips with random vectors; each query is its clip's vector with noise, plus a shared part."""
    random = np.random.default_rng(seed)
    clips_ND = random.normal(size=(6, 16))
    queries_ND = clips_ND + noise * random.normal(size=(6, 16))
    return Described(
        prompts=[f"a photo of one {name} in the snow" for name in ANIMALS],
        queries_ND=unit(queries_ND),
        clips_ND=unit(clips_ND + shared * np.ones(16)),
        labels=labels or [{name: 0.6, "other thing": 0.2} for name in ANIMALS],
    )


def test_matching_vectors_and_labels_are_all_found():
    metrics, details = measure(made(noise=0.0), None)
    for name in ("r1", "r5", "r10", "bm25_r1", "bm25_r5", "bm25_r10"):
        assert metrics[name].interval == (1.0, 1.0, 1.0), name
        assert metrics[name].n == 6
    assert metrics["median_rank"].value == 1.0 and metrics["tie_rate"].value == 0.0
    assert metrics["chance_r1"].value == pytest.approx(1 / 6)
    assert metrics["chance_r5"].value == pytest.approx(5 / 6)
    assert metrics["p_r5_against_bm25"].value == 1.0
    assert details["ranks"] == [1] * 6


def test_a_collapsed_model_finds_nothing_and_says_that_all_is_tied():
    same_ND = unit(np.ones((6, 16)))
    described = Described(
        prompts=made().prompts, queries_ND=same_ND, clips_ND=same_ND, labels=made().labels
    )
    metrics, _ = measure(described, None)
    assert metrics["r1"].value == metrics["r5"].value == 0.0
    assert metrics["tie_rate"].value == 1.0
    assert metrics["auroc_cosine"].value == 0.5


def test_clips_without_a_word_in_common_are_not_found_by_bm25():
    metrics, _ = measure(made(labels=[{"qqq": 0.5}] * 6), None)
    assert metrics["bm25_r1"].value == metrics["bm25_r5"].value == 0.0


def test_the_stronger_form_of_document_is_the_baseline():
    described = made(labels=[{name: 0.9, ANIMALS[n - 1]: 0.01} for n, name in enumerate(ANIMALS)])
    forms = bm25_by_form(described)
    assert (np.argmax(forms["weighted"], axis=1) == np.arange(6)).all()
    assert (forms["weighted"] > 0).sum() == 12 and (forms["likeliest"] > 0).sum() == 12
    metrics, details = measure(described, None)
    values = details["bm25_r5_by_document"]
    assert metrics["bm25_r5"].value == max(values.values()) == values[details["bm25_document"]]


def test_names_weigh_by_percent_and_names_below_half_a_percent_are_left_out():
    described = made(labels=[{"fox": 0.004}, *[{name: 0.02} for name in ANIMALS[1:]]])
    scores = bm25_by_form(described)["weighted"]
    assert scores[0].max() == 0.0 and scores[1].argmax() == 1


def test_centring_leaves_the_order_and_helps_one_threshold_when_queries_differ_in_level():
    described = made(noise=0.6, shared=2.0)
    metrics, _ = measure(described, None)
    assert metrics["auroc_cosine"].value == metrics["auroc_centred"].value, "no reference: no mean"
    reference_D = np.ones(16, np.float32) / 4
    centred, _details = measure(described, reference_D)
    assert centred["auroc_cosine"] == metrics["auroc_cosine"]
    assert centred["auroc_centred"].value > metrics["auroc_cosine"].value + 0.02
    assert centred["r1"] == metrics["r1"]


def test_bm25_of_words_shared_or_not():
    scores_QN = bm25_scores(["the fox", "the", "a kite"], ["red fox", "grey owl", ""])
    assert scores_QN.shape == (3, 3)
    assert scores_QN[0, 0] > 0 and not scores_QN[0, 1:].any() and not scores_QN[1:].any()
    assert not bm25_scores(["fox"], ["", ""]).any()


def test_without_the_library_the_error_names_the_install_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(SetupError, match=r"pip install 'kinoscope\[eval\]'"):
        bm25_scores(["fox"], ["fox"])


@pytest.mark.parametrize("count", [0, 1])
def test_a_task_needs_two_clips_and_equal_counts(count):
    rows_ND = np.zeros((count, 4), np.float32)
    with pytest.raises(UsageError, match="equal, at least 2"):
        Described(prompts=["x"] * count, queries_ND=rows_ND, clips_ND=rows_ND, labels=[{}] * count)
    with pytest.raises(UsageError, match="equal, at least 2"):
        Described(prompts=["x"] * 3, queries_ND=rows_ND, clips_ND=rows_ND, labels=[{}] * count)


class ByBrightness:
    """Names a frame `light` with its mean brightness as probability, else `dark`."""

    def labels(self, frames, top):
        assert frames.rgb_FHWC.shape[1:] == (64, 64, 3) and top == 50
        shares = frames.rgb_FHWC.mean(axis=(1, 2, 3)) / 255
        return [[("light", share), ("dark", 1 - share)] for share in shares]


def test_labels_are_averaged_over_the_sampled_frames_of_the_whole_video(tmp_path):
    greys = [0] * 8 + [255] * 24  # 1 s dark, 3 s light
    frames = (np.full((48, 48, 3), grey, np.uint8) for grey in greys)
    write_video(tmp_path / "x.mp4", frames, fps=8)
    found = mean_labels(ByBrightness(), tmp_path / "x.mp4", SamplingConfig(side_px=64))
    assert found == pytest.approx({"light": 0.75, "dark": 0.25}, abs=0.03)
