"""Recipes without videos: `kinoscope train`, stages in a chain, triplets mixed into lessons."""

import json
import textwrap
from dataclasses import replace

import numpy as np
import pytest
import torch

from kinoscope import Embedder
from kinoscope.backbones.loading import DEFAULT_SAMPLING
from kinoscope.backbones.mini import untrained_mini
from kinoscope.errors import UsageError
from kinoscope.thinking.thinker import Thinker, learned_bytes
from kinoscope.training.journal import read_journal
from kinoscope.training.lora import add_lora
from kinoscope.training.nuance import NuanceConfig
from kinoscope.training.recipe import Recipe, embedder_of, stage_folder
from kinoscope.training.recipe import run as run_stage
from kinoscope.training.teaching import embed
from kinoscope.training.triplets import Mix, mixed
from kinoscope.types import Content, Frames
from recipes import nuance_qwen3vl
from tests.tiny import moving_frames, tiny
from tests.tiny_mini import as_if_trained
from tests.training.tiny_nuance import LONG, MIX, PLAIN
from tests.training.tiny_recipes import LOOP, SAMPLING, tiny_recipe, weights
from tests.training.tiny_thinking import VIDEOS, thinking_mini

pytestmark = pytest.mark.usefixtures("one_torch_thread")

FILE = """
    '''A recipe file.'''
    from kinoscope.backbones.mini import untrained_mini
    from kinoscope.backbones import mini_folder
    from kinoscope.training.nuance import NuanceConfig
    from kinoscope.training.recipe import Recipe
    from kinoscope.training.task import LoopConfig
    from tests.training.tiny_nuance import MIX
    from tests.training.tiny_recipes import SAMPLING

    def recipe(stage):
        return Recipe(
            model=lambda: untrained_mini(mini_folder.mini_files(), layers=2),
            sampling=SAMPLING,
            loop=LoopConfig(steps=3, batch=4, lr=2e-3, validate_every=1),
            mix=MIX,
            nuance=NuanceConfig(max_tokens=200),
            validate=lambda model, cache: {"score": 0.5, "dimension": model.dimension},
        )
"""


@pytest.fixture
def make(mini_set_up, tmp_path):
    """Text alone on a tiny mini: `make(loop=...)`."""

    def build(**changes):
        fields = {
            "model": lambda: as_if_trained(untrained_mini(mini_set_up, layers=2)),
            "sampling": SAMPLING,
            "loop": replace(LOOP, batch=4, rates={}),
            "mix": MIX,
            "nuance": NuanceConfig(max_tokens=LONG),
            "features": tmp_path / "features",
        }
        return Recipe(**{**fields, **changes})

    return build


def test_train_reads_no_video_and_writes_a_model_that_loads(run, mini_set_up, tmp_path) -> None:
    file = tmp_path / "small.py"
    file.write_text(textwrap.dedent(FILE))
    code, out, err = run("train", file, "--to", tmp_path / "runs", "--json")
    assert code == 0, err
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["step"] for record in records] == [1, 2, 3]
    assert all(record["loss/nuance"] > 0 for record in records)
    assert records[0]["validate/dimension"] > 0
    lines = err.splitlines()
    assert lines[0].startswith("generated train, seed 0: overlapping no benchmark")
    assert lines[1] == "11 triplets: time 4, negation 3, composed 4"
    assert lines[-2].startswith("all but the language model is as it was: SHA-256 ")
    assert lines[-1] == f"finished after step 3; model in {tmp_path}/runs/stage-1/model"
    assert not (tmp_path / "cache" / "features").exists()
    embedder = Embedder.load(str(tmp_path / "runs" / "stage-1" / "model"))
    plain = Embedder(untrained_mini(mini_set_up, layers=2), sampling=embedder.sampling)
    text = "a dog opens the door"
    assert embedder.encode_query(text) @ plain.encode_query(text) < 0.9999


def test_keeping_and_a_stage_behind_a_stage(make, tmp_path) -> None:
    heard: list[str] = []
    first = make(plain=lambda: PLAIN, nuance=NuanceConfig(max_tokens=LONG, keep="distil"))
    run_stage(replace(first, loop=replace(first.loop, steps=8)), tmp_path, 1, tell=heard.append)
    names = {name for record in read_journal(stage_folder(tmp_path, 1)) for name in record}
    assert {"loss/nuance", "loss/distil"} <= names
    assert not any("begins" in line for line in heard)
    run_stage(make(), tmp_path, 2, tell=heard.append)
    assert any(line.startswith("begins with the weights of") for line in heard)


def test_triplets_mixed_into_lessons_move_what_the_lessons_train(
    make, mini_set_up, tmp_path
) -> None:
    lessons = tiny_recipe(mini_set_up, tmp_path / "features", 1)
    both = replace(
        lessons,
        mix=MIX,
        nuance=NuanceConfig(max_tokens=LONG, each=3, share=1.0),
        plain=lambda: PLAIN,
        loop=replace(LOOP, steps=12),
    )
    both = replace(both, nuance=replace(both.nuance, keep="pairs", keep_share=0.5))
    before = weights(both.model())
    _, found = run_stage(both, tmp_path, 1)
    records = read_journal(stage_folder(tmp_path, 1))
    terms = [{name for name in record if name.startswith("loss/")} for record in records]
    assert {"loss/nuance"} in terms and {"loss/pairs"} in terms
    assert {"loss/contrast", "loss/caption"} in terms
    moved = {name for name, values in weights(found).items() if (values != before[name]).any()}
    assert any("connector" in name for name in moved) and any("layers" in name for name in moved)


def test_triplets_beside_lessons_that_leave_the_language_model_alone_are_refused(
    mini_set_up, tmp_path
) -> None:
    recipe = tiny_recipe(mini_set_up, tmp_path / "features", 0)
    both = replace(recipe, mix=MIX, nuance=NuanceConfig(max_tokens=LONG))
    with pytest.raises(UsageError, match=r"of which the lessons train nothing, but .*connector"):
        run_stage(both, tmp_path, 0)


def test_a_recipe_without_data_or_with_what_does_not_go_together_is_refused(
    make, mini_set_up, tmp_path
) -> None:
    with pytest.raises(UsageError, match="nothing to learn from: give a source, a mix, or both"):
        make(mix=None)
    lessons = tiny_recipe(mini_set_up, tmp_path / "features", 1)
    with pytest.raises(UsageError, match="plain captions stand beside triplets: give a mix too"):
        replace(lessons, plain=lambda: PLAIN)
    watched = replace(lessons.loop, validate_every=2)
    with pytest.raises(UsageError, match="nothing is measured: give validate, or leave valid"):
        replace(lessons, loop=watched)
    with pytest.raises(UsageError, match="the mix has no source"):
        run_stage(make(mix=Mix(counts={"time": 1}, sources=tuple)), tmp_path, 1)


def test_triplets_tune_a_model_that_thinks_through_its_head_and_leave_that(
    make, mini_set_up, tmp_path
) -> None:
    before = thinking_mini(mini_set_up)
    report, after = run_stage(make(model=lambda: thinking_mini(mini_set_up)), tmp_path, 1)
    assert report.progress.step == LOOP.steps
    assert isinstance(after, Thinker)
    assert learned_bytes(after) == learned_bytes(before)
    moved = weights(after.backbone)
    assert any((moved[n] != v).any() for n, v in weights(before.backbone).items() if "layers" in n)
    embedder_of(after, SAMPLING).save(tmp_path / "model")
    loaded = Embedder.load(str(tmp_path / "model"))
    assert loaded.thinker is not None
    assert loaded.thinker.thinking.document.rule == "halt"


def test_texts_of_a_model_that_thinks_are_trained_as_they_are_embedded(mini_set_up) -> None:
    thinker = thinking_mini(mini_set_up)
    thinker.backbone.checkpoint.model.eval()
    contents = [Content(text=text, role="query") for text in ("a fox", "a door opens slowly")]
    wanted_ND = np.stack([thought.vector_D for thought in thinker.think(contents)])
    for cached in (False, True):
        rows_ND = embed(thinker, contents, cached=cached).detach().numpy()
        np.testing.assert_allclose(rows_ND, wanted_ND, atol=1e-5)
    plain_ND = embed(thinker.backbone, contents).detach().numpy()
    assert (np.sum(plain_ND * wanted_ND, axis=1) < 0.99).all(), "the head changes nothing"


def test_lessons_and_triplets_take_turns_for_a_model_that_learns_to_think(
    mini_set_up, tmp_path
) -> None:
    lessons = tiny_recipe(mini_set_up, tmp_path / "features", 1)
    both = replace(
        lessons,
        model=lambda: thinking_mini(mini_set_up),
        mix=MIX,
        nuance=NuanceConfig(max_tokens=LONG),
        lessons=replace(lessons.lessons, thinking=VIDEOS),
        loop=replace(lessons.loop, steps=6),
    )
    before = thinking_mini(mini_set_up).learned.state_dict()
    _report, after = run_stage(both, tmp_path, 1)
    terms = {name for record in read_journal(tmp_path / "stage-1") for name in record}
    assert {"loss/nuance", "loss/ponder", "loss/prior"} <= terms
    assert isinstance(after, Thinker)
    moved = [float((v - before[n]).abs().max()) for n, v in after.learned.state_dict().items()]
    assert 0 < max(moved) < 0.05, "it goes on with what it had learned, and learns"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"thinking": None}, r"the model thinks: say in lessons\.thinking how its videos do"),
        ({"thinking": replace(VIDEOS, head="mean")}, "with a head 'kv-former': name it in head"),
    ],
)
def test_lessons_that_do_not_fit_a_model_that_thinks_are_refused(
    changes, words, mini_set_up, tmp_path
) -> None:
    lessons = tiny_recipe(mini_set_up, tmp_path / "features", 1)
    changed = replace(
        lessons,
        model=lambda: thinking_mini(mini_set_up),
        lessons=replace(lessons.lessons, **changes),
    )
    with pytest.raises(UsageError, match=words):
        run_stage(changed, tmp_path, 1)


def test_a_run_on_triplets_does_not_go_on_with_another_way_of_thinking(
    make, mini_set_up, tmp_path
) -> None:
    run_stage(make(model=lambda: thinking_mini(mini_set_up)), tmp_path, 1)
    other = thinking_mini(mini_set_up)
    with torch.no_grad():
        other.halting.bias += 1
    with pytest.raises(UsageError, match="model"):
        run_stage(make(model=lambda: other), tmp_path, 1)


def test_triplets_are_refused_where_queries_think(make, mini_set_up, tmp_path) -> None:
    thinker = thinking_mini(mini_set_up, "latent:halt:4")
    with pytest.raises(UsageError, match="texts of one thought: let documents alone think"):
        run_stage(make(model=lambda: thinker), tmp_path, 1)


def test_a_stage_of_triplets_behind_one_with_a_lora_has_what_both_learned(
    make, mini_set_up, tmp_path
) -> None:
    def worn():
        backbone = as_if_trained(untrained_mini(mini_set_up, layers=2))
        add_lora(backbone, rank=2)
        return backbone

    heard: list[str] = []
    _, found = run_stage(make(model=worn), tmp_path, 1, tell=heard.append)
    assert not any("lora" in name for name in weights(found))
    assert any(line.startswith("all but the language model is as it was") for line in heard)
    moved = {
        name
        for name, values in weights(found).items()
        if (values != weights(make().model())[name]).any()
    }
    assert moved and all("layers" in name for name in moved)
    video = Frames(moving_frames(4, 260, 260, 1).rgb_FHWC, np.arange(4) / 2)
    Embedder(found, sampling=SAMPLING).save(tmp_path / "model")
    again = Embedder.load(str(tmp_path / "model"))
    one_D = again.encode_document(video)
    two_D = Embedder(found, sampling=SAMPLING).encode_document(video)
    assert one_D @ two_D > 0.9999


def test_a_large_model_goes_from_sentences_to_a_folder_that_embeds(tmp_path, monkeypatch) -> None:
    """Data, training with a LoRA, merging, export, loading, vectors: of a tiny Qwen3-VL."""
    base = tiny("qwen3_vl", tmp_path / "base")
    monkeypatch.setattr(nuance_qwen3vl, "held_out", lambda: mixed(MIX))
    recipe = nuance_qwen3vl.tuned(str(base), lora=True)
    small = replace(
        recipe,
        mix=MIX,
        nuance=replace(recipe.nuance, max_tokens=LONG, keep="pairs"),
        loop=replace(recipe.loop, steps=4, batch=6, lr=1e-2, validate_every=2),
        plain=lambda: PLAIN,
    )
    report, found = run_stage(small, tmp_path / "run", 1)
    assert report.ended == "finished"
    records = read_journal(stage_folder(tmp_path / "run", 1))
    assert {f"validate/{name}_accuracy" for name in ("time", "composed", "text")} <= set(records[1])
    Embedder(found, sampling=DEFAULT_SAMPLING).save(tmp_path / "tuned")
    again, plain = (Embedder.load(str(tmp_path / name)) for name in ("tuned", "base"))
    one, two = weights(plain.backbone), weights(again.backbone)
    moved = {name for name, values in two.items() if (values != one[name]).any()}
    assert moved and all("language_model.layers" in name for name in moved)
    assert any("visual" in name for name in one) and one.keys() == two.keys()
    video = moving_frames(4, 64, 64, seed=1)
    for vectors in (
        [each.encode_query("a dog opens the door") for each in (again, plain)],
        [each.encode_document(video) for each in (again, plain)],
        [each.encode_composed(video, "at night") for each in (again, plain)],
    ):
        assert np.linalg.norm(vectors[0]) == pytest.approx(1, abs=1e-5)
        assert vectors[0] @ vectors[1] < 0.9999


def test_the_large_recipe_has_one_stage() -> None:
    with pytest.raises(UsageError, match="stage 2: choose 1, which begins with Qwen/Qwen3-VL"):
        nuance_qwen3vl.recipe(2)
    recipe = nuance_qwen3vl.recipe(1)
    assert (recipe.loop.steps, recipe.loop.batch, recipe.nuance.max_tokens) == (156, 256, 32)
