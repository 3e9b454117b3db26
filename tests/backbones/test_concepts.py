"""The built-in model: known answers, batch parity, lazy towers, and clear refusals."""

import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from matplotlib import cbook

from kinoscope import weights
from kinoscope.backbones.concepts import TOP, Concepts
from kinoscope.errors import UsageError
from kinoscope.heads import mean_pool, normalise
from kinoscope.types import Features, Frames

# as the model's authors publish them, rounded to three digits
HAPPY = {
    "That is a happy dog": 0.695,
    "That is a very happy person": 0.943,
    "Today is a sunny day": 0.257,
}
LENGTHS = (1, 30, 3, 200, 7)


@pytest.fixture(scope="module")
def concepts():
    return Concepts(weights.model_files(), threads=2)


@pytest.fixture(scope="module")
def frames():
    """Twenty pictures with large shapes and gradients, so that their classes differ."""
    noise = np.random.default_rng(0)
    coarse = noise.integers(0, 256, (20, 13, 13, 3), dtype=np.uint8)
    return Frames(coarse.repeat(20, axis=1).repeat(20, axis=2), np.arange(20.0))


def lined(a, b):
    """Cosines of rows."""
    return (normalise(a) * normalise(b)).sum(axis=1)


def test_sentence_similarities_are_the_published_ones(concepts):
    person, *others = mean_pool(concepts.text(["That is a happy person", *HAPPY]))
    np.testing.assert_allclose(np.stack(others) @ person, list(HAPPY.values()), atol=1e-3)


def test_a_text_does_not_depend_on_its_batch(concepts):
    texts = [" ".join(["a door opens"] * n)[: 4 * n] for n in LENGTHS]
    together = mean_pool(concepts.text(texts))
    alone = np.concatenate([mean_pool(concepts.text([text])) for text in texts])
    assert lined(together, alone).min() >= 0.99999


def test_states_of_text_are_its_tokens_padded(concepts):
    states = concepts.text(["dog", "a dog on the beach"])
    assert states.states_BTD.shape == (2, 7, 384)
    assert states.mask_BT.sum(axis=1).tolist() == [3, 7]
    assert concepts.count_tokens("dog") == 3
    assert concepts.count_tokens("a dog on the beach") == 7


def test_a_long_text_is_cut_with_a_warning_that_counts(concepts):
    long = "word " * 400
    assert concepts.count_tokens(long) == 402
    with pytest.warns(UserWarning, match="1 of 2 texts are cut to their first 256 .* has 402"):
        states = concepts.text([long, "short"])
    assert states.mask_BT.sum(axis=1).tolist() == [256, 3]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = concepts.text(["word " * 254])
    np.testing.assert_allclose(states.states_BTD[0], whole.states_BTD[0], atol=1e-4)


def test_a_frame_is_the_weighted_sum_of_its_likeliest_classes(concepts, frames):
    names = concepts._class_names
    vectors = np.load(weights.model_files().class_vectors, allow_pickle=False)
    rows = concepts.vision(frames).values_F
    for row, ranked in zip(rows, concepts.labels(frames, TOP), strict=True):
        total = sum(chance for _, chance in ranked)
        wanted = np.zeros(384)
        for name, chance in ranked:
            # two names belong to two classes each, whose vectors are then equal
            wanted += chance / total * vectors[names.index(name)]
        np.testing.assert_allclose(row, wanted, atol=1e-5)


def test_a_photograph_is_named_and_found_by_words(concepts):
    with PIL.Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as photo:
        rgb = np.asarray(photo.convert("RGB").resize((260, 260)))
    officer = Frames(rgb[None], np.zeros(1))
    assert concepts.labels(officer, top=1)[0][0][0] == "military uniform"
    words = ["a soldier in uniform", "a dog", "a beach", "a car on a road"]
    closeness = mean_pool(concepts.text(words)) @ normalise(concepts.vision(officer).values_F)[0]
    assert closeness.argmax() == 0


def test_labels_are_likelihoods_best_first(concepts, frames):
    everything = concepts.labels(frames.take([0, 1]), top=1000)
    for ranked in everything:
        chances = [chance for _, chance in ranked]
        assert chances == sorted(chances, reverse=True)
        assert sum(chances) == pytest.approx(1, abs=1e-4)
    best = concepts.labels(frames.take([1]), top=3)[0]
    assert [name for name, _ in best] == [name for name, _ in everything[1][:3]]


@pytest.mark.parametrize("top", [0, 1001])
def test_an_impossible_count_of_labels_is_named(concepts, frames, top):
    with pytest.raises(UsageError, match=rf"top {top}: choose 1\.\.1000"):
        concepts.labels(frames, top)


def test_a_frame_does_not_depend_on_its_batch(concepts, frames):
    together = concepts.vision(frames).values_F
    alone = np.concatenate([concepts.vision(frames.take([i])).values_F for i in range(20)])
    uneven = [concepts.vision(frames.take(range(*ends))) for ends in ((0, 3), (3, 14), (14, 20))]
    assert lined(together, alone).min() >= 0.99999
    assert lined(together, Features.concatenate(uneven).values_F).min() >= 0.99999
    assert lined(together[:1], together[1:]).max() < 0.9999, "the pictures are too alike"


def test_the_same_frames_give_the_same_bits(concepts, frames):
    once, again = concepts.vision(frames).values_F, concepts.vision(frames).values_F
    np.testing.assert_array_equal(once, again)


def test_one_thread_gives_the_vectors_of_two(concepts, frames):
    single = Concepts(weights.model_files(), threads=1)
    assert lined(single.vision(frames).values_F, concepts.vision(frames).values_F).min() >= 0.99999


def test_no_frames_give_no_rows(concepts):
    none = Frames(np.empty((0, 260, 260, 3), np.uint8), np.empty(0))
    assert concepts.vision(none).values_F.shape == (0, 384)
    assert concepts.labels(none) == []


@pytest.mark.parametrize("shape", [(1, 224, 224, 3), (1, 260, 200, 3)])
def test_frames_of_another_size_are_refused(concepts, shape):
    wrong = Frames(np.zeros(shape, np.uint8), np.zeros(1))
    with pytest.raises(UsageError, match=f"{shape[2]}x{shape[1]} px: .* reads 260x260"):
        concepts.vision(wrong)


def test_clips_of_unequal_length_are_padded_and_masked(concepts, frames):
    features = concepts.vision(frames)
    clips = [features.take([0, 1, 2]), features.take([5])]
    states = concepts.video(clips)
    assert states.mask_BT.tolist() == [[True, True, True], [True, False, False]]
    np.testing.assert_array_equal(states.states_BTD[0], clips[0].values_F)
    np.testing.assert_array_equal(states.states_BTD[1, 0], clips[1].values_F[0])
    np.testing.assert_allclose(mean_pool(states)[1], normalise(clips[1].values_F)[0], atol=1e-6)


def test_each_tower_works_without_the_other(frames):
    files, absent = weights.model_files(), Path("absent")
    without_vision = Concepts(replace(files, vision=absent, class_vectors=absent))
    assert without_vision.text(["a dog"]).mask_BT.all()
    without_text = Concepts(replace(files, text=absent, tokenizer=absent))
    assert len(without_text.vision(frames.take([0]))) == 1


def test_no_threads_is_a_wrong_argument():
    with pytest.raises(UsageError, match="threads 0: need at least one"):
        Concepts(weights.model_files(), threads=0)


def test_a_fresh_process_answers_in_three_seconds_without_torch():
    program = """
import sys, time
start_s = time.perf_counter()
import numpy as np
from kinoscope.embedder import Embedder
from kinoscope.types import Frames
embedder = Embedder.load()
embedder.encode_query("a dog")
embedder.vision(Frames(np.zeros((1, 260, 260, 3), np.uint8), np.zeros(1)))
print(time.perf_counter() - start_s)
print(*[name for name in ("torch", "transformers", "onnx", "lancedb") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    spent_s, loaded = done.stdout.split("\n")[:2]
    assert loaded == ""
    assert float(spent_s) < 3
