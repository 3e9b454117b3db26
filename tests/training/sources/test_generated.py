"""The generated world as a source: true texts, and frames at the instants that are wanted."""

import itertools
import pickle

import numpy as np
import pytest

from kinoscope.errors import MediaError, UsageError
from kinoscope.sampling import SamplingConfig, Window, cut_clips, grid_times
from kinoscope.training.sources import GeneratedSource, generated
from kinoscope.training.world import WorldConfig, reverse
from kinoscope.training.world.captions import captions
from kinoscope.training.world.render import render
from kinoscope.training.world.tasks import is_chiral
from kinoscope.types import Span

SHAPES = WorldConfig(sprites=())  # needs no download


@pytest.fixture(scope="module")
def source():
    return GeneratedSource("train", 12, first_seed=5, config=SHAPES)


def test_examples_have_something_for_every_lesson(source):
    for number in range(len(source)):
        known = source.example(number)
        assert known.key == source.key(number)
        assert source.number_of(known.key) == number
        assert len(known.captions) == 20
        assert len(set(known.details)) >= 2
        assert known.questions
        assert known.moments
        assert all(m.span.end_s <= known.duration_s for m in known.moments)
        for pair in known.mismatches:
            assert pair.wrong != pair.true
        assert known.told_edits, "a caption says what some edit changes"
        assert all(edit.before != edit.after for edit in known.told_edits)
        reversals = [pair for pair in known.mismatches if pair.why == "reversal"]
        assert len(reversals) <= is_chiral(source.scene(number))


def test_only_what_is_another_event_backwards_has_texts_of_its_reversal():
    source = GeneratedSource("train", 80, config=SHAPES, wordings=4)
    chiral = [is_chiral(source.scene(number)) for number in range(len(source))]
    assert {True, False} == set(chiral)
    for number, told in enumerate(chiral):
        known = source.example(number)
        wanted = captions(reverse(source.scene(number)), 4)
        assert known.backward == (wanted if told else ())
        assert not set(known.backward) & set(known.captions), "true both ways"


@pytest.mark.parametrize("clip_frames", [2, None])
@pytest.mark.parametrize("fps", [0.1, 1.0, 3.0])
def test_frames_are_at_the_instants_of_an_embedder(source, fps, clip_frames):
    windows = (Window(length_s=2.0, stride_s=1.0), Window(length_s=0.25, stride_s=0.25))
    sampling = SamplingConfig(fps=fps, side_px=32, windows=windows, clip_frames=clip_frames)
    grid = itertools.takewhile(lambda time_s: time_s < 5.0, grid_times(sampling, 5.0))
    times_F = np.array(list(grid))
    for clip in cut_clips(sampling, 5.0, times_F):
        found = source.frames(3, sampling, None if clip.scale == "whole" else clip.span)
        assert found.times_F.tolist() == times_F[list(clip.indices)].tolist()
        if clip.scale == "whole":
            again = render(source.scene(3), found.times_F, (32, 32))
            assert (found.rgb_FHWC == again.rgb_FHWC).all()


def test_it_is_the_same_in_another_process(source):
    again = pickle.loads(pickle.dumps(source))
    sampling = SamplingConfig(side_px=None, max_pixels=48 * 48, windows=(), clip_frames=2)
    one, other = source.frames(0, sampling), again.frames(0, sampling)
    assert one.rgb_FHWC.shape[1:3] == (48, 48)
    assert (one.rgb_FHWC == other.rgb_FHWC).all()
    assert again.example(1) == source.example(1)
    assert again.fingerprint == source.fingerprint


def test_identities_and_fingerprints_follow_what_they_are_of(source):
    other = GeneratedSource("train", 12, first_seed=6, config=SHAPES)
    clean = GeneratedSource("train", 12, first_seed=5, config=WorldConfig(sprites=(), clean=True))
    assert other.identity(0) == source.identity(1)
    assert clean.identity(0) != source.identity(0)
    assert len({s.fingerprint for s in (source, other, clean)}) == 3
    assert source.overlaps == ()
    assert GeneratedSource("test", 3, config=SHAPES).overlaps == ("world test",)


def test_other_texts_change_the_fingerprint_but_no_identity(source, monkeypatch):
    fingerprint, identity = source.fingerprint, source.identity(0)
    monkeypatch.setattr(generated, "EDITION", "other texts")
    assert source.fingerprint != fingerprint
    assert source.identity(0) == identity


def test_what_is_not_there_is_refused(source):
    with pytest.raises(UsageError, match="choose 1 or more"):
        GeneratedSource("train", 0)
    with pytest.raises(UsageError, match="split 'dev'"):
        GeneratedSource("dev", 1)
    for key in ("train-000000", "test-000006", "train-6", "x", ""):
        with pytest.raises(UsageError, match="has no video"):
            source.number_of(key)
    with pytest.raises(MediaError, match="ends at 5"):
        source.frames(0, SamplingConfig(), Span(5.0, 6.0))
