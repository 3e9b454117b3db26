"""Opposite events: texts without objects, galleries of two kinds, ties that count against us."""

import numpy as np
import pytest

from kinoscope.errors import UsageError
from kinoscope.evaluation.world.chiral import (
    PAIRS,
    Gallery,
    chiral,
    config_of,
    texts_of,
)
from kinoscope.training.world import sample, wordings
from kinoscope.training.world.events import EVENTS
from tests.evaluation.oracles import PLAIN

NAMES = ("chiral_t2v_r1", "chiral_v2t_r1", "chiral_r1", "chiral_t2v_map")


def gallery(scores_first, scores_second, second):
    """Cosines of one text of each kind with each video."""
    videos_ND = np.array([scores_first, scores_second], np.float32).T
    return Gallery(
        videos_ND=videos_ND, second_N=np.array(second), texts_W2D=np.eye(2, dtype=np.float32)[None]
    )


def figures(one):
    metrics, details = chiral({PAIRS[0]: one})
    assert details["pairs"][" ".join(PAIRS[0])]["videos"] == len(one.second_N)
    return [metrics[name].value for name in NAMES]


def test_pairs_are_all_events_that_differ_from_their_opposite():
    named = {kind for pair in PAIRS for kind in pair}
    assert named == {kind for kind, known in EVENTS.items() if known.opposite != kind}
    assert all(EVENTS[first].opposite == second for first, second in PAIRS)


@pytest.mark.parametrize("pair", PAIRS, ids="_".join)
def test_texts_name_the_event_and_nothing_else(pair):
    for split in ("validation", "test"):
        texts = texts_of(pair, split)
        assert len(texts) == len(wordings.EVENT_PHRASES[pair[0]][split])
        for both in texts:
            assert both[0] != both[1]
            for text in both:
                assert "thing" in text
                assert "  " not in text
                assert "{" not in text
    scenes = [sample("test", seed, config_of(pair, PLAIN)) for seed in range(30)]
    assert {event.kind for scene in scenes for _, event in scene.events} == set(pair)
    assert {len(scene.events) for scene in scenes} == {len(scene.shots) for scene in scenes} == {1}


def test_figures_are_worked_out_by_hand():
    second = [False, False, True, True]
    assert figures(gallery([0.9, 0.8, 0.1, 0.2], [0.1, 0.2, 0.9, 0.8], second)) == [1, 1, 1, 1]
    one = gallery([0.9, 0.1, 0.5, 0.2], [0.1, 0.3, 0.4, 0.6], second)
    # text 1: right at ranks 1 and 4; text 2: right at 1 and 2; videos: yes, no, no, yes
    assert figures(one) == pytest.approx([1.0, 0.5, 0.75, ((1 + 2 / 4) / 2 + 1) / 2])


def test_a_tie_is_no_answer():
    second = [False, False, True, True]
    assert figures(gallery([0.5] * 4, [0.5] * 4, second))[:3] == [0, 0, 0]


def test_an_embedder_without_direction_finds_one_of_two_texts_right():
    random = np.random.default_rng(0)
    scores = random.normal(size=50)
    found = figures(gallery(scores, scores + 0.1, random.integers(0, 2, 50).astype(bool)))
    assert found[0] == 0.5


def test_videos_of_one_kind_are_no_gallery():
    with pytest.raises(UsageError, match="3 videos all show one kind"):
        gallery([0.1] * 3, [0.2] * 3, [True] * 3)
