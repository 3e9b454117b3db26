"""The mean-of-frames control as an embedder: blind to order, and only to that."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from kinoscope.embedder import Embedder
from kinoscope.errors import UsageError
from kinoscope.evaluation.frame_means import mean_of_frames
from kinoscope.thinking.thinker import Thinker
from kinoscope.types import Frames
from tests.evaluation.runner.made import Counting


def frames_of(levels: list[int]) -> Frames:
    rgb_FHWC = np.repeat(np.uint8(levels), 8 * 8 * 3).reshape(-1, 8, 8, 3)
    return Frames(rgb_FHWC, np.arange(len(levels)) / 2.0)


def test_a_video_and_its_reversal_are_one_vector_and_texts_are_as_they_were():
    model = Embedder(Counting())
    means = mean_of_frames(model)
    there, back, other = ([10, 200, 60, 90], [90, 60, 200, 10], [10, 201, 61, 90])
    there_D, back_D, other_D = means.encode_document([frames_of(f) for f in (there, back, other)])
    assert np.array_equal(there_D, back_D)
    assert not np.array_equal(there_D, other_D)
    own_ND = model.encode_document([frames_of(there), frames_of(back)])
    assert not np.allclose(own_ND[0], own_ND[1]), "the model itself sees order"
    singles_ND = model.encode_document([frames_of([level]) for level in there])
    mean_D = singles_ND.mean(axis=0)
    assert np.allclose(there_D, mean_D / np.linalg.norm(mean_D), atol=1e-6)
    assert np.array_equal(means.encode_query("v1"), model.encode_query("v1"))


def test_its_vectors_are_never_taken_for_those_of_the_model():
    model = Embedder(Counting(), truncate_dim=5)
    means = mean_of_frames(model)
    assert means.dimension == 5 and means.sampling == model.sampling
    assert means.spec.model.startswith("mean of frames of ")
    assert means.spec.fingerprint != model.spec.fingerprint


def test_a_model_that_thinks_is_refused():
    model = Counting()
    thinker = cast("Thinker", SimpleNamespace(backbone=model))
    with pytest.raises(UsageError, match="the mean of frames takes no steps: leave"):
        mean_of_frames(Embedder(model, thinker=thinker))
