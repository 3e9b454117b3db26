"""Order, manner, negation and edits on the world: models that know all, nothing, or only words."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.errors import UsageError
from kinoscope.evaluation.world.composed import composed, target_ranks
from kinoscope.evaluation.world.edited import EditedSource, edited
from kinoscope.evaluation.world.negation import KINDS, choice_of, first_is_nearest, negation
from kinoscope.evaluation.world.nuances import NuanceWorld, nuances
from kinoscope.evaluation.world.vectors import embed_clips
from kinoscope.evaluation.world.videos import WorldVideos
from kinoscope.evaluation.world.wrong_texts import all_pairs_of, true_is_nearer, wrong_texts
from kinoscope.sampling import SamplingConfig
from kinoscope.training.sources import GeneratedSource
from kinoscope.training.world.captions import absence, negated_caption
from tests.evaluation.oracles import FPS, PLAIN, Constant, Oracle, made_clip
from tests.evaluation.test_space import unit

COUNT = 12


class Knowing(Oracle):
    """Knows wrong texts, negated captions, choices and edits too."""

    kinds = frozenset({"text", "video", "composed"})

    def see(self, source: GeneratedSource) -> WorldVideos:
        """As before; a target is another video than its source."""
        if not isinstance(source, EditedSource):
            found = super().see(source)
            for number, example in enumerate(found.examples()):
                self._texts |= {one.true: (example.key, True) for one in example.mismatches}
                scene = source.scene(number)
                self._texts[negated_caption(scene)] = (example.key, True)
            for number, scene in enumerate(found.scenes()):
                right = choice_of(scene).options[0]
                self._texts.setdefault(right, ("choice", number))
            return found
        first = len(self._shown)
        self._shown += [(source.key(n), source.edit(n).kind) for n in range(len(source))]
        self._edits = {(source.key(n), source.edit(n).text): n + first for n in range(len(source))}
        return WorldVideos(source, lambda number: made_clip(first + number))

    def _vector(self, content):
        if content.kind == "composed":
            key = self._shown[int(content.clip.values_F[0, 0])]
            clip = made_clip(self._edits[key, content.text])
            return super()._vector(replace(content, text=None, clip=clip))
        return super()._vector(content)


class Blind(Knowing):
    """Reads no edit."""

    def _vector(self, content):
        if content.kind == "composed":
            content = replace(content, text=None)
        return super()._vector(content)


def world(model: Oracle) -> tuple[WorldVideos, np.ndarray]:
    videos = model.see(GeneratedSource("test", COUNT, config=PLAIN))
    return videos, embed_clips(model, videos.clips())


def test_a_model_that_knows_tells_true_from_wrong_texts_and_a_constant_one_none() -> None:
    for model, right in ((Knowing(), 1.0), (Constant(), 0.0)):
        videos, clips_ND = world(model)
        pairs = all_pairs_of(videos)
        assert len(pairs) > 3 * COUNT
        metrics, details = wrong_texts(model, pairs, clips_ND)
        assert {"direction_accuracy", "order_accuracy"} <= metrics.keys()
        assert {metric.value for metric in metrics.values()} == {right}
        assert {kind["accuracy"] for kind in details["by_kind"].values()} == {right}
        assert sum(kind["n"] for kind in details["by_kind"].values()) == len(pairs)
    with pytest.raises(UsageError, match="no video has a wrong text: take more of them"):
        wrong_texts(Knowing(), [], clips_ND)


def test_true_is_nearer_by_a_naive_twin_and_a_tie_is_wrong() -> None:
    clips, true, wrong = (unit(9, 4, seed) for seed in range(3))
    wrong[4] = true[4]
    naive = [float(c @ t > c @ w) for c, t, w in zip(clips, true, wrong, strict=True)]
    assert true_is_nearer(clips, true, wrong).tolist() == naive and naive[4] == 0.0
    true[0, 0] = np.nan
    with pytest.raises(UsageError, match="scores of texts are NaN or infinite"):
        true_is_nearer(clips, true, wrong)


def test_of_four_options_the_first_alone_is_true() -> None:
    source, kinds = GeneratedSource("test", 60, config=PLAIN), set()
    for number in range(len(source)):
        scene = source.scene(number)
        choice = choice_of(scene)
        kinds.add(choice.kind)
        shown = {actor.thing.name for shot in scene.shots for actor in shot.actors}
        assert scene.absent not in shown
        truth = {}
        for wording in range(1000):  # what any wording of a claim or a denial is worth
            if all(said in truth for option in choice.options for said in sentences(option)):
                break
            for noun in (*shown, scene.absent):
                told = replace(scene, absent=noun)
                truth[absence(told, wording, true=False)] = noun in shown
                truth[absence(told, wording)] = noun not in shown
        worth = [all(truth[said] for said in sentences(option)) for option in choice.options]
        assert worth == [True, False, False, False], choice
        assert len(set(choice.options)) == 4
    assert kinds == set(KINDS)


def sentences(option: str) -> list[str]:
    return [f"{part.strip().removesuffix('.')}." for part in option.split(". ")]


def test_negated_captions_find_their_videos_and_ties_do_not() -> None:
    model = Knowing()
    metrics, details = negation(model, *world(model))
    assert metrics["negation_std_r5"].value == metrics["negation_neg_r5"].value == 1.0
    assert 0 <= metrics["negation_mcq"].value <= 1
    assert details["gallery"] == COUNT and details["chance_mcq"] == 0.25
    assert sum(kind["n"] for kind in details["mcq_by_kind"].values()) == COUNT
    constant = Constant()
    metrics, _ = negation(constant, *world(constant))
    assert {metric.value for metric in metrics.values()} == {0.0}


@given(count=st.integers(1, 6), options=st.integers(2, 5), seed=st.integers(0, 99))
def test_the_first_option_is_nearest_by_a_naive_twin(count, options, seed) -> None:
    rows = unit(count * options, 3, seed).reshape(count, options, 3)
    rows[0, 1] = rows[0, 0]  # a tie
    clips_ND = unit(count, 3, seed + 1)
    found = first_is_nearest(rows, clips_ND).tolist()
    for n in range(count):
        scores = [float(row.astype(float) @ clips_ND[n].astype(float)) for row in rows[n]]
        assert found[n] == float(all(scores[0] > other for other in scores[1:]))
    assert found[0] == 0.0
    with pytest.raises(UsageError, match="scores of options are NaN or infinite"):
        first_is_nearest(rows * np.nan, clips_ND)


@given(count=st.integers(1, 6), seed=st.integers(0, 99))
def test_ranks_of_targets_are_those_of_a_naive_twin_without_the_own_source(count, seed) -> None:
    queries_QD, gallery_ND = unit(count, 3, seed), unit(2 * count, 3, seed + 1)
    gallery_ND[count - 1] = gallery_ND[-1]  # ties
    gallery_ND[0] = queries_QD[0]  # the own source, nearest of all
    found = target_ranks(queries_QD, gallery_ND)
    for q in range(count):
        scores = (queries_QD @ gallery_ND.T)[q]
        others = [n for n in range(2 * count) if n not in (q, count + q)]
        assert found[q] == 1 + sum(scores[n] >= scores[count + q] for n in others)


def test_who_reads_the_edit_finds_the_target_and_who_does_not_fails() -> None:
    for model, right in ((Knowing(), 1.0), (Blind(), 0.0), (Constant(), 0.0)):
        videos = [model.see(source) for source in edited("test", COUNT, PLAIN)]
        metrics, details = composed(model, *videos)
        assert metrics["composed_r1"].value == right
        assert metrics["composed_r1"].n == COUNT and details["gallery"] == 2 * COUNT
        assert metrics["composed_text_only"].value < 0.5 > metrics["composed_video_only"].value
        assert sum(kind["n"] for kind in details["by_kind"].values()) == COUNT


def test_an_edited_video_differs_and_has_features_of_its_own() -> None:
    sources, targets = edited("test", 40, PLAIN)
    kinds = {targets.edit(n).kind for n in range(len(targets))}
    assert len(kinds) >= 5
    sampling = SamplingConfig(fps=2.0, side_px=64, windows=(), clip_frames=4)
    for number in range(4):
        assert sources.key(number) == targets.key(number)
        assert sources.identity(number) != targets.identity(number)
        assert targets.scene(number) == targets.edit(number).scene != sources.scene(number)
        one, other = (each.frames(number, sampling).rgb_FHWC for each in (sources, targets))
        assert one.shape == other.shape and (one != other).any()
    assert targets.name == "world test 0..39 edited" and targets.fingerprint != sources.fingerprint
    with pytest.raises(UsageError, match="1 videos to edit: take 2 or more"):
        edited("test", 1, PLAIN)


def test_all_nuances_of_a_model_that_knows() -> None:
    model = Knowing()
    found, details = nuances(model, model.see, NuanceWorld(count=COUNT, edits=6, config=PLAIN), FPS)
    assert found["chiral_r1"].value == found["order_accuracy"].value == 1.0
    assert found["negation_neg_r5"].value == found["composed_r1"].value == 1.0
    assert found["t2v_r1"].value == 1.0 and 0 <= found["gap"].value <= 2
    assert set(details) == {"retrieval", "chiral", "wrong_texts", "negation", "composed"}
