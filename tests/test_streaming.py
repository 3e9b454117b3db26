"""Clips of a film that streams in equal those cut from the whole of it, in bounded memory."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.heads import normalise
from kinoscope.sampling import RESERVE, SamplingConfig, Window, cut_clips
from kinoscope.streaming import EMBED_CLIPS, ClipStream
from kinoscope.types import Embedded, Features


def direction(clip):
    """A vector that depends on each frame and on their order."""
    weights = np.sqrt(np.arange(2, len(clip) + 2))
    return normalise((clip.values_F * weights[:, None]).sum(axis=0, keepdims=True))[0]


class Recorder:
    """Embeds by `direction`; remembers the clips of each call."""

    def __init__(self):
        self.calls = []

    def __call__(self, clips):
        self.calls.append([clip.times_F for clip in clips])
        return Embedded(np.stack([direction(clip) for clip in clips]))


def features_of(times):
    values = np.random.default_rng(len(times)).uniform(0.1, 1, (len(times), 4))
    return Features(values.astype(np.float32), np.asarray(times, np.float64))


def naive(config, duration_s, features):
    clips = cut_clips(config, duration_s, features.times_F)
    vectors = np.stack([direction(features.take(clip.indices)) for clip in clips])
    return [clip.span for clip in clips], [clip.scale for clip in clips], vectors


def streamed(config, duration_s, features, cuts=()):
    stream = ClipStream(config, Recorder())
    ends = zip([0, *cuts], [*cuts, len(features)], strict=True)
    for first, after in ends:
        stream.add(features.take(range(first, after)))
    return stream.finish(duration_s)


CONFIGS = [
    SamplingConfig(),
    SamplingConfig(clip_frames=2),
    SamplingConfig(clip_frames=1, windows=(Window(length_s=3, stride_s=0.5),)),
    SamplingConfig(clip_frames=3, windows=()),
    SamplingConfig(windows=(Window(length_s=4, stride_s=2), Window(length_s=9, stride_s=3))),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.describe())
@given(
    gaps=st.lists(st.sampled_from([0.02, 0.5, 1.0, 1.0, 7.0, 90.0]), max_size=60), data=st.data()
)
def test_any_film_in_any_pieces_gives_the_clips_of_the_whole(config, gaps, data):
    times = np.cumsum([0.5, *gaps])
    features = features_of(times)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(times)), max_size=8)) - {len(times)})
    duration_s = times[-1] + data.draw(st.sampled_from([0.01, 0.04, 0.5, 3.0]))
    spans, scales, vectors = naive(config, duration_s, features)
    found = streamed(config, duration_s, features, cuts)
    assert list(found.spans) == spans
    assert list(found.scales) == scales
    np.testing.assert_array_equal(found.vectors_ND, vectors)


def test_a_long_film_needs_the_memory_of_a_short_one():
    config = SamplingConfig(clip_frames=4)
    embed = Recorder()
    stream = ClipStream(config, embed)
    most = 0
    for first in range(0, 6400, 32):
        stream.add(features_of(np.arange(first, first + 32) + 0.5))
        most = max(most, len(stream._rows))
    clips = stream.finish(6400.0)
    assert len(clips.spans) == 1 + 3199
    assert most <= RESERVE * 4 + 32 + 8, most
    assert max(map(len, embed.calls)) <= EMBED_CLIPS + 16
    whole = next(times for call in embed.calls for times in call if times[-1] - times[0] > 60)
    np.testing.assert_allclose(whole, [0.5, 2176.5, 4352.5, 6399.5], atol=256)


def test_clips_of_the_same_frames_are_embedded_once():
    embed = Recorder()
    stream = ClipStream(SamplingConfig(), embed)
    stream.add(features_of([0.5, 1.5]))
    clips = stream.finish(2.0)
    assert len(clips.spans) == 2
    assert [len(call) for call in embed.calls] == [1]


@given(count=st.integers(1, 700), most=st.sampled_from([None, 1, 2, 8]))
def test_the_whole_is_the_clip_that_comes_first(count, most):
    config = SamplingConfig(clip_frames=most)
    features = features_of(np.arange(count) + 0.5)
    stream = ClipStream(config, Recorder())
    for first in range(0, count, 50):
        stream.add(features.take(range(first, min(first + 50, count))))
    clip = cut_clips(config, float(count), features.times_F)[0]
    np.testing.assert_array_equal(stream.whole().values_F, features.take(clip.indices).values_F)
