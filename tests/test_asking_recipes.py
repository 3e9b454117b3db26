"""The arithmetic of recipes on asking: ties against us, galleries with and without the answer."""

import numpy as np
import pytest

from kinoscope.calibration import Calibration
from kinoscope.training.sources import GeneratedSource
from recipes import exclude, no_match, rerank
from tests.evaluation.oracles import PLAIN


def looked(cosines, own: int, shown, first: int) -> rerank.Looked:
    count = len(cosines)
    return rerank.Looked(
        cosines_P=np.array(cosines, np.float64),
        own_P=np.arange(count) == own,
        shown_P=np.array(shown, np.float64),
        prior_P=np.ones(count),
        first=first,
    )


def test_ranks_anew_count_ties_against_the_query() -> None:
    found = [
        looked([0.9, 0.8, 0.7], 1, [0, 5, 0], 3),  # the match alone puts it first
        looked([0.9, 0.8, 0.7], 1, [5, 5, 0], 3),  # it ties
        looked([0.9, 0.8, 0.7, 0.1], 3, [0, 0, 0, 9], 3),  # it was not among the first
    ]
    assert rerank.reranked_ranks(found, 0.5, 0.0, 2).tolist() == [1, 2, 4]
    assert rerank.reranked_ranks(found, 0.5, 1.0, 3).tolist() == [2, 2, 4]


@pytest.mark.parametrize(
    ("own", "there", "shown"),
    [(1, True, [0, 1]), (1, False, [0, 2]), (3, True, [0, 1]), (3, False, [0, 1])],
)
def test_a_gallery_without_the_video_shows_the_next(own, there, shown) -> None:
    each = looked([0.9, 0.8, 0.7, 0.6], own, [0, 0, 0, 0], 3)
    assert np.flatnonzero(rerank.hits(each, 2, there=there)).tolist() == shown


def test_an_answer_is_given_only_where_the_model_is_sure() -> None:
    known = [looked([0.9, 0.8, 0.7], 0, [4, -4, -4], 3) for _ in range(5)]
    by_match = rerank.by_match(Calibration(model="w"))
    found, least = no_match.measured(by_match, known, known, 2)
    assert 0.01 < least < 0.95, "halfway between what was seen of both"
    assert found["balanced_accuracy"].value == 1
    assert (found["answered_there"].value, found["answered_absent"].value) == (1, 0)
    assert found["auc"].value == 1
    flat, _ = no_match.measured(lambda *_: 0.5, known, known, 2)
    assert flat["balanced_accuracy"].value == 0.5
    assert flat["auc"].value == 0.5


def test_pairs_of_things_are_shown_together_and_apart() -> None:
    source = GeneratedSource("test", 60, config=PLAIN)
    scenes = [source.scene(number) for number in range(len(source))]
    queries = exclude.queries_of(scenes)
    assert queries
    for query in queries:
        assert query.wanted != query.excluded
        assert (query.shows_N & query.spoilt_N).any()
        assert query.right_N.any()
        shown = [
            any(actor.thing.name == query.wanted for shot in scene.shots for actor in shot.actors)
            for scene in scenes
        ]
        assert query.shows_N.tolist() == shown
    assert exclude.sentence(queries[0]).startswith(("a ", "an "))


def test_of_equal_hits_the_wrong_ones_come_first() -> None:
    shows, spoilt = np.array([True, True, True, False]), np.array([False, True, False, False])
    query = exclude.Asked(wanted="dog", excluded="ball", shows_N=shows, spoilt_N=spoilt)
    assert exclude.hits_of(query, np.array([0.5, 0.5, 0.1, 0.5])) == [1, 3]
    assert exclude.hits_of(query, np.array([0.9, 0.5, 0.8, 0.5])) == [0, 2]
