"""Every task on a tiny world: a perfect embedder has 1, a contrary one 0, a constant one less."""

from dataclasses import replace

import numpy as np
import pytest

from kinoscope.evaluation.frame_means import FrameMeans
from kinoscope.evaluation.world.table import TASKS, WORDED, Measurement, System, World
from kinoscope.evaluation.world.videos import with_frame_vectors
from kinoscope.training.world.events import EVENTS
from tests.evaluation.oracles import FPS, PLAIN, Constant, Oracle

WORLD = World(count=12, chosen_on=6, guessed_from=20, config=PLAIN)
SILENT = tuple(task for task in TASKS if task not in WORDED)


def measured(oracle, task, **options):
    system = System(backbone=oracle, see=oracle.see, fps=FPS)
    metrics, details = Measurement(system, WORLD, **options).task(task)
    for metric in metrics.values():
        low, value, high = metric.interval
        assert 0 <= low <= value <= high
    return {name: metric.value for name, metric in metrics.items()}, details


def contrary(label):
    what, forwards = label
    if what in EVENTS:
        return EVENTS[what].opposite, forwards
    return what, not forwards


@pytest.mark.parametrize("seen", [False, True])
def test_a_perfect_embedder_is_right_in_everything(seen):
    found, details = measured(Oracle(), "retrieval", seen=seen)
    assert found == {"t2v_r1": 1, "t2v_r5": 1, "t2v_r10": 1, "t2v_mdr": 1, "v2t_r1": 1}
    assert details["gallery"] == details["distinct_captions"] == 12
    assert details["t2v_tied"] == details["v2t_tied"] == 0
    found, details = measured(Oracle(), "reversal", seen=seen)
    assert found == {"reversal_t2v": 1, "reversal_v2t": 1, "reversal": 1}
    assert details["t2v_tied"] == 0


def test_a_perfect_embedder_tells_opposites_and_reads_long_texts():
    found, details = measured(Oracle(), "chiral")
    assert set(found.values()) == {1.0}
    assert len(details["pairs"]) == 15
    assert details["chance"] == 0.5
    found, details = measured(Oracle(), "long_text")
    assert found == {"long_text_r1": 1}
    assert 60 <= details["words"][0] <= details["words"][2] <= 250
    assert details["cut"] == 0


def test_a_contrary_embedder_is_wrong_in_everything_that_has_a_direction():
    assert set(measured(Oracle(contrary), "reversal")[0].values()) == {0.0}
    found, _ = measured(Oracle(contrary), "chiral")
    assert found["chiral_t2v_r1"] == found["chiral_v2t_r1"] == found["chiral_r1"] == 0
    assert found["chiral_t2v_map"] < 0.5


def test_a_constant_embedder_is_at_chance_or_below():
    found, details = measured(Constant(), "retrieval")
    assert [found[name] for name in ("t2v_r1", "t2v_r5", "t2v_r10", "v2t_r1")] == [0, 0, 0, 0]
    assert details["t2v_tied"] == details["v2t_tied"] == 1
    found, details = measured(Constant(), "reversal")
    assert set(found.values()) == {0.5}
    assert details["t2v_tied"] == details["v2t_tied"] == 1
    found, _ = measured(Constant(), "chiral")
    assert found["chiral_r1"] == 0
    assert found["chiral_t2v_map"] < 0.6
    assert measured(Constant(), "long_text")[0] == {"long_text_r1": 0}
    found, _ = measured(Constant(), "moments")
    assert found["moments_r1_03"] == found["moments_r1_05"] == 0
    assert found["moments_miou"] < 0.2


def test_the_mean_of_frames_ties_on_every_reversal():
    oracle = Oracle()
    system = System(
        backbone=FrameMeans(oracle),
        see=lambda source: with_frame_vectors(oracle, oracle.see(source)),
        fps=FPS,
    )
    metrics, details = Measurement(system, WORLD).task("reversal")
    assert metrics["reversal_t2v"].interval == (0.5, 0.5, 0.5)
    assert details["t2v_tied"] == 1
    assert details["v2t_tied"] == 0


def test_models_without_words_have_no_task_in_words():
    oracle = Oracle()
    assert System(backbone=oracle, see=oracle.see, fps=FPS).tasks == SILENT


def test_as_many_reversals_as_videos_are_measured_though_some_videos_have_none():
    world = replace(WORLD, count=40)
    system = System(backbone=(oracle := Oracle()), see=oracle.see, fps=FPS)
    told = [world.test().example(n).backward for n in range(40)]
    assert any(not texts for texts in told), "all of these differ from their reversals"
    metrics, _ = Measurement(system, world).task("reversal")
    assert metrics["reversal"].n == 40


def test_moments_of_one_event_videos_are_not_asked_for():
    found, details = measured(Oracle(), "moments")
    videos = [WORLD.test().example(n) for n in range(12)]
    several = [example for example in videos if len(example.moments) > 1]
    assert details["videos"] == len(several)
    assert found["moments_whole_video"] == np.mean(
        [m.span.duration_s / 5.0 >= 0.5 for example in several for m in example.moments]
    )
