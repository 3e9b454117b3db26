"""Videos played backwards: features turned round are those of the reversal; choices by hand."""

import numpy as np
import pytest

from kinoscope.backbones import mini
from kinoscope.backbones.mini import untrained_mini
from kinoscope.evaluation.frame_means import FrameMeans
from kinoscope.evaluation.world.quick import quick
from kinoscope.evaluation.world.reversal import (
    BothWays,
    choose,
    played_backwards,
    reversal,
    told_both_ways,
)
from kinoscope.evaluation.world.table import Measurement, System, World
from kinoscope.evaluation.world.vectors import embed_clips, embed_texts
from kinoscope.evaluation.world.videos import WorldVideos, with_frame_vectors
from kinoscope.sampling import SamplingConfig
from kinoscope.training.sources import Example, FeatureCache, GeneratedSource
from kinoscope.training.world import WorldConfig, reverse
from kinoscope.training.world.captions import caption
from kinoscope.training.world.render import render
from kinoscope.training.world.tasks import is_chiral
from kinoscope.types import Content
from tests.evaluation.oracles import FPS, PLAIN, made_clip
from tests.tiny_mini import Tower, as_if_trained, tiny_mini_files

SAMPLING = SamplingConfig(fps=FPS, clip_frames=32)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(mini, "open_session", lambda *_arguments: Tower())
        files = tiny_mini_files(tmp_path_factory.mktemp("mini"))
        yield as_if_trained(untrained_mini(files, layers=2))


@pytest.mark.parametrize("fps", [2.0, 3.0])
def test_features_turned_round_are_those_of_the_reversed_scene(backbone, fps):
    world = WorldConfig(sprites=(), duration_s=4.0)
    source = GeneratedSource("test", 60, config=world)
    sampling = SamplingConfig(fps=fps, clip_frames=32)
    scenes = [source.scene(number) for number in range(len(source))]
    chosen = [
        next(n for n, scene in enumerate(scenes) if fits(scene))
        for fits in (
            lambda scene: len(scene.shots) > 1,
            lambda scene: scene.noise > 0,
            lambda scene: scene.quality is not None,
            lambda scene: scene.shots[0].camera not in ("still", "shake"),
        )
    ]
    for number in chosen:
        there = backbone.vision(source.frames(number, sampling))
        back = backbone.vision(render(reverse(scenes[number]), there.times_F))
        turned = played_backwards(there, 4.0)
        assert np.allclose(turned.times_F, back.times_F)
        assert np.abs(turned.values_F.astype(float) - back.values_F).max() <= 1e-3
        assert not np.allclose(turned.values_F, there.values_F)
        vectors_ND = embed_clips(backbone, [turned, back, there])
        assert vectors_ND[0] @ vectors_ND[1] >= 0.99999
        assert vectors_ND[0] @ vectors_ND[2] < 0.99999


def test_frames_may_lie_unevenly():
    clip = made_clip(0).take([0, 1, 4])  # 0.25, 0.75, 2.25 s
    turned = played_backwards(clip, 5.0)
    assert turned.times_F.tolist() == [2.75, 4.25, 4.75]
    assert turned.values_F[:, 1].tolist() == [2.25, 0.75, 0.25]


def test_texts_are_one_wording_of_both_directions():
    source = GeneratedSource("test", 40, config=PLAIN)
    for number in range(len(source)):
        scene, told = source.scene(number), told_both_ways(source.example(number))
        assert (told is not None) <= is_chiral(scene)
        if told is not None:
            assert told == (caption(scene), caption(reverse(scene)))
            assert told[0] != told[1]
    assert told_both_ways(Example(key="a", captions=("x", "y"), backward=("x", "z"))) is None
    assert told_both_ways(Example(key="a", captions=("x",))) is None


def test_choices_are_worked_out_by_hand():
    texts = BothWays(
        forward_ND=np.float32([[1, 0], [1, 0], [1, 0]]),
        backward_ND=np.float32([[0, 1], [0, 1], [0.6, 0.8]]),
    )
    videos = BothWays(
        forward_ND=np.float32([[0.8, 0.6], [0.6, 0.8], [1, 0]]),
        backward_ND=np.float32([[0.6, 0.8], [0.8, 0.6], [1, 1e-8]]),
    )
    choices = choose(videos, texts)
    assert choices.t2v_N.tolist() == [1, 0, 0.5]
    assert choices.v2t_N.tolist() == [1, 0, 1]
    assert choices.tied_t2v_N.tolist() == [0, 0, 1]
    metrics, details = reversal(choices, ["a", "b", "c"])
    assert metrics["reversal"].value == pytest.approx((1 + 0 + 0.75) / 3)
    assert details == {"chance": 0.5, "t2v_tied": pytest.approx(1 / 3), "v2t_tied": 0}


def test_a_mean_of_frames_is_the_same_backwards_bit_for_bit(backbone):
    source = GeneratedSource("test", 3, config=PLAIN)
    clips = [backbone.vision(source.frames(n, SAMPLING)) for n in range(3)]
    videos = with_frame_vectors(backbone, WorldVideos(source, clips.__getitem__))
    means = FrameMeans(backbone)
    there_ND = embed_clips(means, videos.clips())
    back_ND = embed_clips(means, (played_backwards(clip, 5.0) for clip in videos.clips()))
    assert (there_ND == back_ND).all()
    frames = embed_clips(backbone, [clips[1].take([k]) for k in range(len(clips[1]))])
    naive_D = frames.mean(axis=0) / np.linalg.norm(frames.mean(axis=0))
    assert np.allclose(there_ND[1], naive_D, atol=1e-5)
    same = means.vision(source.frames(1, SAMPLING))
    assert np.allclose(same.values_F, videos.clip(1).values_F, atol=1e-5)
    texts = ["a door opens", "a fox"]
    assert np.allclose(embed_texts(means, texts), embed_texts(backbone, texts))
    mixed = [Content(text="a fox"), Content(clip=videos.clip(0)), Content(text="a door opens")]
    rows = [row for found, _ in means.states(mixed) for row in found]
    assert sorted(rows) == [0, 1, 2]


def test_a_quick_look_gives_the_figures_of_the_whole_table(backbone, tmp_path):
    cache = FeatureCache(tmp_path, backbone, SAMPLING, tower="stand-in")
    source = GeneratedSource("validation", 12, config=PLAIN)
    found = quick(backbone, source, cache, count=8)
    assert list(found) == ["t2v_r1", "t2v_r10", "reversal"]

    class First(World):
        def test(self, *, seen=False):
            return source

    system = System(backbone=backbone, see=lambda s: WorldVideos.of(s, cache), fps=FPS)
    metrics, _ = Measurement(system, First(count=8, config=PLAIN)).task("retrieval")
    assert found["t2v_r1"] == metrics["t2v_r1"].value
    assert found["t2v_r10"] == metrics["t2v_r10"].value
    told = [told_both_ways(source.example(n)) for n in range(4)]
    count = sum(pair is not None for pair in told)
    metrics, _ = Measurement(system, First(count=count, config=PLAIN)).task("reversal")
    assert found["reversal"] == pytest.approx(metrics["reversal"].value)
    assert set(quick(backbone, source, cache, count=100)) == set(found)
