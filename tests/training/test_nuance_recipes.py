"""The recipes that tune `mini` by sentences, in small: from a folder to one that embeds."""

from dataclasses import replace

import numpy as np
import pytest

from kinoscope import Embedder
from kinoscope.backbones.mini import untrained_mini
from kinoscope.backbones.mini_folder import save_mini
from kinoscope.errors import UsageError
from kinoscope.evaluation.results import Metric, load_result
from kinoscope.evaluation.thought_vectors import as_backbone
from kinoscope.evaluation.world.vectors import embed_texts
from kinoscope.thinking.thinker import Thinker
from kinoscope.training.journal import read_journal
from kinoscope.training.recipe import embedder_of, stage_folder
from kinoscope.training.recipe import run as run_stage
from kinoscope.training.sources import GeneratedSource
from kinoscope.training.triplets import PARTS, mixed
from kinoscope.training.world import WorldConfig
from kinoscope.types import Content
from recipes import handwritten, mini_thinking, nuance_mini, nuance_mixed, nuance_text_only
from recipes.measuring import load_model
from recipes.nuance_mix import COUNTS as COUNTS_OF_ALL
from tests.tiny import tiny
from tests.tiny_mini import as_if_trained
from tests.training.tiny_nuance import COUNTS, LONG, MIX
from tests.training.tiny_recipes import SAMPLING, weights
from tests.training.tiny_thinking import thinking_mini

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture
def folder(mini_set_up, tmp_path):
    """A trained mini."""
    place = tmp_path / "trained"
    save_mini(as_if_trained(untrained_mini(mini_set_up, layers=2)), SAMPLING, place)
    return place


@pytest.fixture
def small(mini_set_up, monkeypatch, tmp_path):
    """A recipe of a few steps on a few triplets, with few videos, shapes alone."""

    def world(split, count, **choices):
        config = WorldConfig(sprites=(), duration_s=2.0)
        return GeneratedSource(split, min(count, 3), config=config, **choices)

    monkeypatch.setattr(nuance_mini, "GeneratedSource", world)
    monkeypatch.setattr(nuance_mini, "mini_files", lambda: mini_set_up)
    monkeypatch.setattr(nuance_mini, "held_out", lambda: mixed(MIX))
    monkeypatch.setattr(nuance_mini, "NUANCES", ("order",))

    def shrink(recipe, **changes):
        fields = {
            "mix": MIX,
            "nuance": replace(recipe.nuance, max_tokens=LONG),
            "sampling": SAMPLING,
            "loop": replace(recipe.loop, steps=4, batch=4, validate_every=4),
            "features": tmp_path / "features",
        }
        return replace(recipe, **{**fields, **changes})

    return shrink


def test_the_trained_mini_is_tuned_by_sentences_and_saved(small, folder, tmp_path) -> None:
    recipe = small(nuance_mini.recipe(1), model=lambda: mini_thinking.trained_mini(folder))
    assert recipe.plain is not None and len(recipe.plain().captions) == 3 + 1000
    _, found = run_stage(recipe, tmp_path / "run", 1)
    records = read_journal(stage_folder(tmp_path / "run", 1))
    logged = {name for record in records for name in record}
    assert {"loss/nuance", "loss/distil"} <= logged
    measured = {name for name in records[-1] if name.startswith("validate/")}
    wanted = {"score", "t2v_r10", "gap", "alignment", "video_uniformity", "text_rank", "hand_order"}
    wanted |= {f"{part}_accuracy" for part in COUNTS}
    assert {f"validate/{name}" for name in wanted} <= measured
    parts = [records[-1][f"validate/{name}"] for name in ("t2v_r10", "text_accuracy")]
    assert records[-1]["validate/score"] == pytest.approx(np.mean(parts))
    Embedder(found, sampling=SAMPLING).save(tmp_path / "model")
    one, other = (Embedder.load(str(place)) for place in (folder, tmp_path / "model"))
    before, after = weights(one.backbone), weights(other.backbone)
    assert all(
        np.allclose(values, after[name], atol=2e-3)
        for name, values in before.items()
        if "connector" in name
    )
    assert one.encode_query("a dog") @ other.encode_query("a dog") < 0.9999


def test_the_untrained_mini_is_tuned_on_the_parts_of_each_row(small, mini_set_up, tmp_path) -> None:
    assert nuance_text_only.recipe(1).mix.counts == COUNTS_OF_ALL
    counts = {name: nuance_text_only.row(name).mix.counts for name in nuance_text_only.ROWS}
    assert set(counts["all"]) == set(PARTS) and set(counts["core"]) == {"core"}
    assert set(counts["negation"]) == {"core", "negation"}
    assert {"time", "order", "adverb"} < set(counts["time"]) and "composed" not in counts["time"]
    with pytest.raises(UsageError, match="stage 2: choose 1; other rows of the ablation are"):
        nuance_text_only.recipe(2)
    recipe = small(nuance_text_only.recipe(1), model=lambda: untrained_mini(mini_set_up, layers=2))
    heard: list[str] = []
    run_stage(recipe, tmp_path / "run", 1, tell=heard.append)
    assert heard[-1].startswith("all but the language model is as it was: SHA-256")


def test_triplets_take_turns_with_lessons_on_new_videos() -> None:
    mixed, control = nuance_mixed.recipe(1), nuance_mixed.ROWS["control"]()
    assert mixed.source is not None and mixed.lessons == control.lessons
    assert mixed.nuance.each * mixed.loop.batch == 128
    shares = sum(mixed.lessons.shares.values())
    lessons = mixed.loop.steps * shares / (shares + mixed.nuance.share)
    assert control.mix is None and control.loop.steps == pytest.approx(lessons, abs=1)
    united = nuance_mixed.ROWS["united"]()
    assert united.lessons.thinking == mini_thinking.thinking()
    assert united.mix.counts == mixed.mix.counts == COUNTS_OF_ALL
    with pytest.raises(UsageError, match="stage 3: choose 1, which goes on from the shipped mini"):
        nuance_mixed.recipe(3)


def test_rows_of_the_mixed_training_are_trained_by_name(monkeypatch, tmp_path, capsys) -> None:
    made: list[str] = []

    def train_rows(rows, folder):
        made.extend(rows)
        assert folder == tmp_path

    monkeypatch.setattr(nuance_mixed.stages, "train_rows", train_rows)
    nuance_mixed.main([str(tmp_path), "--rows", "united,control"])
    assert made == ["united", "control"]
    with pytest.raises(SystemExit):
        nuance_mixed.main([str(tmp_path), "--rows", "some"])
    assert "'some': choose mixed, united, control" in capsys.readouterr().err


def test_the_recipe_has_one_stage_and_keeps_to_its_size() -> None:
    with pytest.raises(UsageError, match="stage 0: choose 1, which goes on from the shipped mini"):
        nuance_mini.recipe(0)
    loop = nuance_mini.recipe(1).loop
    assert (loop.steps, loop.batch) == (nuance_mini.STEPS, nuance_mini.BATCH)


def fixed(value: float):
    """In place of minutes of measuring: what `nuances` gives."""
    names = ("chiral_r1", "negation_neg_r5", "composed_r1", "t2v_r1", "t2v_r10", "gap")
    return lambda model, see, world, fps: (
        {name: Metric(value=value, n=world.count) for name in names},
        {"retrieval": {"fps": fps}},
    )


def test_what_is_measured_is_saved_under_the_names_that_are_cited(
    folder, mini_set_up, monkeypatch, tmp_path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(nuance_mini, "nuances", fixed(0.25))
    nuance_mini.main([str(folder), str(folder), "--beside", f"united={folder}"])
    found = load_result("nuance_mini")
    assert found.metrics["united_gap"].value == 0.25 and found.details["beside"] == ["united"]
    for wrong in ("united", "after=mini", "a b=mini"):
        with pytest.raises(SystemExit):
            nuance_mini.main([str(folder), str(folder), "--beside", wrong])
    assert found.metrics["t2v_r1_before"].value == found.metrics["t2v_r1_after"].value == 0.25
    assert found.metrics["composed_r1"].n == nuance_mini.WORLD.count
    assert found.details["after"]["weights"] and found.command == "python -m recipes.nuance_mini"
    handwritten.main([str(folder), str(folder)])
    found = load_result("handwritten")
    for nuance in ("time", "negation", "order"):
        low, value, high = found.metrics[f"{nuance}_before"].interval
        assert 0 <= low <= value <= high <= 1 and found.metrics[f"{nuance}_before"].n == 100
        assert found.metrics[f"{nuance}_p_value"].value == 1.0  # of a model with itself


def test_rows_are_trained_once_and_measured_beside_the_untrained_model(
    small, folder, mini_set_up, monkeypatch, tmp_path, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    made = nuance_text_only.row

    def model():
        return untrained_mini(mini_set_up, layers=2)

    monkeypatch.setattr(
        nuance_text_only,
        "row",
        lambda name: small(made(name), model=model, validate=lambda _model, _cache: {"score": 1.0}),
    )
    monkeypatch.setattr(nuance_text_only, "untrained", model)
    monkeypatch.setattr(nuance_mini, "nuances", fixed(0.5))
    recall = {"samples_r10": Metric(value=0.1, n=50)}
    monkeypatch.setattr(nuance_text_only, "samples_recall", lambda model: recall)
    words = ["runs", "--rows", "all,time"]
    nuance_text_only.main(["train", *words])
    assert "is there" not in capsys.readouterr().out
    nuance_text_only.main(["train", *words])
    assert capsys.readouterr().out.count("is there") == 2
    nuance_text_only.main(["measure", *words])
    metrics = load_result("nuance_text_only").metrics
    wanted = {"samples_r10_before", "samples_r10_after", "world_r10_before", "world_r10_after"}
    assert wanted | {"gap_before", "gap_after", "time_chiral", "all_chiral_r1"} <= metrics.keys()
    with pytest.raises(SystemExit):
        nuance_text_only.main(["train", "runs", "--rows", "some"])
    assert "'some': choose all, core, time, negation, composed" in capsys.readouterr().err
    other = str(tiny("qwen2_vl", tmp_path / "other"))
    with pytest.raises(UsageError, match=r"other is not mini: name a folder"):
        nuance_mini.loaded(other)


def test_a_model_that_thinks_is_measured_by_its_thoughts(mini_set_up, tmp_path) -> None:
    thinker = thinking_mini(mini_set_up)
    embedder_of(thinker, SAMPLING).save(tmp_path / "model")
    found = nuance_mini.loaded(str(tmp_path / "model"))
    assert isinstance(found, Thinker)
    texts = ["a fox", "a door opens"]
    wanted_ND = np.stack([t.vector_D for t in found.think([Content(text=t) for t in texts])])
    inside = as_backbone(found)
    np.testing.assert_allclose(embed_texts(inside, texts), wanted_ND, atol=1e-5)
    assert inside.dimension == wanted_ND.shape[1]
    assert inside.weights.startswith(found.backbone.weights) and "halt" in inside.weights
    assert as_backbone(found.backbone) is found.backbone
    with pytest.raises(UsageError, match="thinks: kinoscope eval measures it as it embeds"):
        load_model(str(tmp_path / "model"))
