"""Finding moments: spans against naive twins, ties against us, priors worked out by hand."""

import itertools

import numpy as np
import pytest

from kinoscope.evaluation.world.moments import (
    LENGTHS,
    Method,
    Query,
    Searched,
    centre,
    choose_method,
    curve,
    ious,
    localisation,
    located,
    median_length_s,
    queries_of,
    search,
)
from kinoscope.evaluation.world.videos import WorldVideos
from kinoscope.spans import peak_of
from kinoscope.training.sources import GeneratedSource
from kinoscope.types import Span, States
from tests.evaluation.oracles import FPS, PLAIN, Oracle, made_clip

BEST = Method("best", LENGTHS)


def query(start_s, end_s, *, duration_s=5.0, key="a"):
    return Query(key=key, duration_s=duration_s, text="x", span=Span(start_s, end_s))


def with_truth(asked, frames=10, fps=FPS):
    """Candidates that score as well as they overlap."""
    cosines = {
        length: np.array(
            [
                asked.span.iou(Span(first / fps, min((first + length) / fps, asked.duration_s)))
                for first in range(frames - length + 1)
            ]
        )
        for length in LENGTHS
    }
    return Searched(query=asked, frames=frames, cosines=cosines)


def test_the_best_run_is_the_one_that_overlaps_most():
    for start_s, length_s in itertools.product(np.arange(0, 4, 0.19), (0.6, 1.1, 2.3)):
        asked = query(float(start_s), float(min(5.0, start_s + length_s)))
        searched = with_truth(asked)
        most = max(float(values.max()) for values in searched.cosines.values())
        assert ious(BEST, [searched], FPS)[0] == pytest.approx(most)
        assert most >= 0.5


def test_the_last_frame_of_a_video_ends_with_it():
    searched = with_truth(query(4.5, 4.7, duration_s=4.7))
    assert located(BEST, searched, FPS) == [Span(4.5, 4.7)]


def test_of_equal_answers_the_worst_counts():
    asked = query(1.0, 2.0)
    flat = Searched(query=asked, frames=10, cosines={2: np.zeros(9)})
    assert len(located(Method("best", (2,)), flat, FPS)) == 9
    assert ious(Method("best", (2,)), [flat], FPS).tolist() == [0.0]
    flat.cosines[2][[2, 3]] = 1.0
    assert ious(Method("best", (2,)), [flat], FPS)[0] == pytest.approx(1 / 3)


def test_a_flat_curve_answers_nothing():
    flat = Searched(query=query(1.0, 2.0), frames=10, cosines={3: np.full(8, 0.7)})
    method = Method("curve", (3,))
    assert located(method, flat, FPS) == []
    assert ious(method, [flat], FPS).tolist() == [0.0]


@pytest.mark.parametrize("length", [1, 2, 5, 7])
def test_a_curve_is_the_mean_of_the_windows_over_each_frame(length):
    windows_N = np.random.default_rng(length).normal(size=8 - length)
    naive = [
        np.mean([windows_N[w] for w in range(len(windows_N)) if w <= frame < w + length])
        for frame in range(7)
    ]
    assert np.allclose(curve(windows_N, length, 7), naive)


def test_a_peak_is_the_run_of_largest_sum():
    random = np.random.default_rng(0)
    for frames in (1, 2, 3, 9):
        for _ in range(60):
            values_F = random.integers(-3, 4, frames).astype(float)
            sums = {
                (first, last - first): values_F[first:last].sum()
                for first, last in itertools.combinations(range(frames + 1), 2)
            }
            found = peak_of(values_F)
            if max(sums.values()) <= 0:
                assert found is None
            else:
                assert sums[found] == max(sums.values())
                shorter = [run for run, total in sums.items() if total == sums[found]]
                assert found[1] == min(length for first, length in shorter if first == found[0])


def test_a_curve_finds_a_long_moment_that_single_runs_miss():
    scores_F = np.array([0, 0, 1, 1, 1, 1, 1, 1, 1, 1], float)
    searched = Searched(query=query(1.0, 5.0), frames=10, cosines={1: scores_F})
    assert located(Method("curve", (1,)), searched, FPS) == [Span(1.0, 5.0)]


def test_the_method_is_the_one_that_is_best_on_the_videos_given():
    told = [with_truth(query(start / 2, start / 2 + 1)) for start in range(8)]
    method, figures = choose_method(told, FPS)
    assert method == BEST
    assert len(figures) == 1 + len(LENGTHS)
    assert figures[method.describe(FPS)] == {"r1_05": 1.0, "miou": 1.0}
    misled = [
        Searched(query=each.query, frames=10, cosines={**each.cosines, 6: np.full(5, 9.0)})
        for each in told
    ]
    assert choose_method(misled, FPS)[0].kind == "curve"
    only = [Searched(query=told[0].query, frames=10, cosines={2: told[0].cosines[2]})]
    assert choose_method(only, FPS)[0] == Method("curve", (2,))


def test_answers_that_look_at_nothing_are_worked_out_by_hand():
    queries = [query(0.0, 3.0), query(1.5, 3.5), query(2.0, 3.0, key="b")]
    values = localisation(np.array([1.0, 0.4, 0.6]), queries, 1.0)
    found = {name: each.metric for name, each in values.items()}
    assert found["moments_whole_video"].value == pytest.approx(1 / 3)  # 3 of 5 s
    assert centre(5.0, 1.0) == Span(2.0, 3.0)
    assert found["moments_centre_prior"].value == pytest.approx(2 / 3)  # 1/3, 1/2 and all
    assert found["moments_r1_05"].value == pytest.approx(2 / 3)
    assert found["moments_r1_07"].value == pytest.approx(1 / 3)
    assert found["moments_miou"].value == pytest.approx(2 / 3)
    assert centre(1.0, 3.0) == Span(0.0, 1.0)
    assert median_length_s({0: queries[:2], 1: queries[2:]}) == 2.0


def test_candidates_and_queries_meet_in_their_own_video():
    class Overlap(Oracle):
        """A run of frames is its video and times, a text the moment's; both on made axes."""

        def states(self, contents):
            for row, content in enumerate(contents):
                found = np.zeros((1, 1, self.dimension), np.float32)
                if content.clip is None:
                    found[0, 0, axes[content.text]] = 1
                else:
                    number = int(content.clip.values_F[0, 0])
                    begin_s = float(content.clip.times_F[0]) - 0.5 / FPS
                    run = Span(begin_s, begin_s + len(content.clip) / FPS)
                    for each in queries[number]:
                        found[0, 0, axes[each.text]] = each.span.iou(run) / 4
                    found[0, 0, 0] = np.sqrt(1 - (found**2).sum())
                yield [row], States(found, np.ones((1, 1), np.bool_))

    source = GeneratedSource("test", 9, config=PLAIN)
    videos = WorldVideos(source, made_clip)
    queries = queries_of(videos.examples())
    assert 0 < len(queries) < 9, "there are no videos of one event, or none of two"
    texts = [each.text for several in queries.values() for each in several]
    axes = {text: place for place, text in enumerate(dict.fromkeys(texts), start=1)}
    found = search(Overlap(), videos, queries, LENGTHS)
    assert [each.query.text for each in found] == texts
    for each in found:
        wanted = with_truth(each.query)
        for length in LENGTHS:
            assert np.allclose(each.cosines[length] * 4, wanted.cosines[length], atol=1e-5)
    assert (ious(BEST, found, FPS) >= 0.5).all()
