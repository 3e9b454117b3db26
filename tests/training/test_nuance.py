"""Nuance tuning: the exact loss, the cache, who learns, what is cut, keeping, resuming."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from kinoscope import Embedder
from kinoscope.backbones.mini import untrained_mini
from kinoscope.errors import UsageError
from kinoscope.training.gather import alone
from kinoscope.training.journal import read_journal
from kinoscope.training.loop import train
from kinoscope.training.lora import add_lora, merge_lora
from kinoscope.training.losses import kept
from kinoscope.training.nuance import (
    Nuance,
    NuanceConfig,
    Plain,
    cut_triplets,
    language_weights,
    untouched_hash,
)
from kinoscope.training.sampler import Draw
from kinoscope.training.sources.taught import vectors
from kinoscope.training.task import LoopConfig
from kinoscope.training.teaching import embed
from kinoscope.training.triplets import GeneratedTriplets, Mix, Triplet, mixed
from kinoscope.types import Content
from tests.tiny import FAMILIES, moving_frames
from tests.tiny_mini import as_if_trained
from tests.training.learning import equal, in_processes
from tests.training.tiny_nuance import LONG, MIX, PLAIN, clip_vector, task, tiny_model
from tests.training.tiny_recipes import weights

pytestmark = pytest.mark.usefixtures("one_torch_thread")
ITEMS = (0, 2, 3, 7, 8)
LOOP = LoopConfig(steps=4, batch=6, lr=2e-3)


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    """Loads the same tiny model anew each time."""
    folder = tmp_path_factory.mktemp("tiny") / "qwen3_vl"
    return lambda **options: tiny_model("qwen3_vl", folder, **options)


@pytest.fixture
def mini(mini_set_up):
    return as_if_trained(untrained_mini(mini_set_up, layers=2))


def loss_of(found: Nuance, part="triplets", items=ITEMS) -> torch.Tensor:
    """Of one draw, as the loop takes it: a mean."""
    batch = found.batch(Draw(part, 0, tuple(items)))
    return found.losses(batch, 1).total(batch.counts)


def naive_loss(embedder: Embedder, chosen: list[Triplet], temperature: float) -> float:
    """NUANCE's formula, row by row, from the vectors that users get."""
    template = embedder.backbone.checkpoint.template

    def composed(one: Triplet) -> str:
        pieces = template.composed.replace("{medium}", "video")
        return pieces.replace("{media}", one.anchor).replace("{text}", one.edit)

    family = embedder.backbone.checkpoint.family
    rows = []
    for one in chosen:
        if one.edit:  # the whole prompt, as one text
            message = {"role": "user", "content": [{"type": "text", "text": composed(one)}]}
            ids = family.processor.tokenizer(
                [rendered(family, message)], add_special_tokens=False, return_tensors="pt"
            )
            with torch.inference_mode():
                states = embedder.backbone.checkpoint.model.model(**ids).last_hidden_state
            rows.append(torch.nn.functional.normalize(states[0, -1], dim=0).double().numpy())
        else:
            rows.append(embedder.encode_query(one.anchor).astype(np.float64))
    right = [embedder.encode_document({"text": one.positive}) for one in chosen]
    wrong = [embedder.encode_document({"text": one.negative}) for one in chosen]
    total = 0.0
    for i, anchor in enumerate(rows):
        top = math.exp(float(anchor @ right[i]) / temperature)
        below = sum(
            math.exp(float(anchor @ right[j]) / temperature)
            + math.exp(float(anchor @ wrong[j]) / temperature)
            for j in range(len(rows))
        )
        total += -math.log(top / below)
    return total / len(rows)


def rendered(family, message) -> str:
    return family.processor.apply_chat_template(
        [message], add_generation_prompt=True, tokenize=False
    )


@pytest.mark.parametrize("temperature", [0.05, 0.3])
def test_the_loss_is_the_published_one_over_vectors_that_users_get(qwen, temperature) -> None:
    found = task(qwen(), temperature=temperature)
    loss = float(loss_of(found).detach())
    chosen = [mixed(MIX).triplets[item] for item in ITEMS]
    assert any(one.edit for one in chosen) and not all(one.edit for one in chosen)
    naive = naive_loss(Embedder(qwen()), chosen, temperature)
    assert loss == pytest.approx(naive, rel=1e-4)


@pytest.mark.parametrize("family", ["mini", "qwen3_vl"])
def test_cached_gradients_are_those_of_a_direct_pass(family, qwen, mini) -> None:
    found = {}
    for cached in (False, True):
        backbone = mini if family == "mini" else qwen()
        learner = task(backbone, cached=cached)
        loss = loss_of(learner)
        loss.backward()
        grads = {name: values.grad.clone() for name, values in learner.parameters()}
        backbone.checkpoint.model.zero_grad()
        found[cached] = {"loss": loss.detach(), **grads}
    assert found[True]["loss"] == found[False]["loss"]
    scale = max(float(values.abs().max()) for values in found[False].values())
    for name, values in found[False].items():
        torch.testing.assert_close(found[True][name], values, rtol=1e-4, atol=1e-6 * scale)


def gradients_here(number: int, folder, count: int) -> None:
    backbone = tiny_model("qwen3_vl", folder / "model")
    learner = task(backbone, PLAIN, keep="distil")
    # as after some steps: similarities are no longer those of before
    with torch.no_grad():
        for name, values in learner.parameters():
            values.add_(0.05 * torch.randn(values.shape, generator=seeded(name)))
    found = {}
    for part, items in (("triplets", ITEMS), ("plain", (0, 1, 4))):
        batch = learner.batch(Draw(part, 0, items).share(number, count))
        terms = learner.losses(batch, 1)
        (name,) = terms.sums
        loss = terms.total({name: len(items)})
        loss.backward()
        found[f"{part} loss"] = loss.detach()
    grads = {name: values.grad for name, values in learner.parameters()}
    save_file({**found, **grads}, folder / f"{number} of {count}.safetensors")


def seeded(name: str) -> torch.Generator:
    return torch.Generator().manual_seed(sum(map(ord, name)))


def test_two_processes_have_the_loss_and_gradients_of_one(qwen, tmp_path) -> None:
    """With the cache, and uneven shares: 2 and 3 triplets, 1 and 2 captions."""
    tiny_model("qwen3_vl", tmp_path / "model")
    gradients_here(0, tmp_path, 1)
    in_processes(gradients_here, 2, tmp_path, tmp_path, 2)
    whole = load_file(tmp_path / "0 of 1.safetensors")
    parts = [load_file(tmp_path / f"{number} of 2.safetensors") for number in (0, 1)]
    assert float(whole["plain loss"]) > 1e-3
    scale = max(float(values.abs().max()) for values in whole.values())
    for name, values in whole.items():
        together = parts[0][name] + parts[1][name]
        torch.testing.assert_close(together, values, rtol=1e-3, atol=1e-5 * scale)


@pytest.mark.parametrize("family", FAMILIES)
def test_of_every_family_the_language_model_alone_learns(family, tmp_path) -> None:
    backbone = tiny_model(family, tmp_path / family)
    learner = task(backbone)
    names = dict(learner.parameters())
    decoder = backbone.checkpoint.family.decoder(backbone.checkpoint.model.model)
    wanted = sum(1 for part in (decoder.layers, decoder.norm) for _ in part.parameters())
    assert len(names) == wanted > 0
    strangers = ("vis", "project", "connector", "merger", "embed", "lm_head", "multi_modal")
    assert not [name for name in names if any(word in name for word in strangers)]
    learns = {n for n, v in backbone.checkpoint.model.named_parameters() if v.requires_grad}
    assert learns == set(names)


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("family", ["mini", "qwen3_vl"])
def test_pixels_way_stays_bit_for_bit_while_vectors_of_videos_move(
    family, lora, qwen, mini, tmp_path
) -> None:
    backbone, side = (mini, (260, 260)) if family == "mini" else (qwen(), (64, 64))
    before, seen = weights(backbone), clip_vector(backbone, side)
    untouched = untouched_hash(backbone)
    if lora:
        add_lora(backbone, rank=2)
    train(task(backbone), replace(LOOP, lr=2e-2 if lora else 2e-3), tmp_path)
    merge_lora(backbone)
    after = weights(backbone)
    moved = {name for name, values in after.items() if (values != before[name]).any()}
    inside = set(language_weights(backbone))
    assert moved and moved <= inside and (lora or moved == inside)
    assert untouched_hash(backbone) == untouched
    backbone.checkpoint.model.eval()
    assert (clip_vector(backbone, side) != seen).any()
    with torch.no_grad():  # the hash would have told
        outside = next(v for n, v in after.items() if n not in inside)
        dict(backbone.checkpoint.model.named_parameters())[
            next(n for n in after if n not in inside)
        ].copy_(outside + 1e-3)
    assert untouched_hash(backbone) != untouched


def test_it_learns(qwen, tmp_path) -> None:
    train(task(qwen()), replace(LOOP, steps=12, batch=11), tmp_path)
    losses = [record["loss/nuance"] for record in read_journal(tmp_path)]
    assert losses[-1] < 0.7 * losses[0]


def test_sentences_over_the_limit_are_cut_with_a_warning_that_counts_them(qwen) -> None:
    backbone = qwen()
    chosen = mixed(MIX).triplets
    with pytest.warns(UserWarning, match=r"cut to their first 12 tokens \(.*time \d+.*\), and \d+"):
        found = cut_triplets(backbone, chosen, 12)
    tokenizer = backbone.checkpoint.family.processor.tokenizer
    texts = [t for row in found for c in row for t in (c.text, c.caption) if t is not None]
    lengths = [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
    assert max(lengths) <= 12 and max(lengths) >= 10
    assert any(any(one.anchor.startswith(text) for one in chosen) for text in texts)
    assert len(cut_triplets(backbone, chosen, LONG)) == len(chosen)  # silent


def test_triplets_that_are_alike_after_the_cut_are_left_out(qwen) -> None:
    alike = Triplet(
        anchor="a door", positive="a tall door opens slowly", negative="a tall door opens fast",
        part="adverb", why="manner",
    )  # fmt: skip
    other = Triplet(anchor="a dog", positive="dogs", negative="a cat", part="core", why="other")
    with pytest.warns(UserWarning, match=r"2 sentences .*adverb 2\), and 1 of 2 triplets left out"):
        found = cut_triplets(qwen(), [alike, other], 5)
    assert [row[0].text for row in found] == ["a dog"]
    with (
        pytest.warns(UserWarning, match="cut to"),
        pytest.raises(UsageError, match="max_tokens 5 leaves no triplet of 1: raise it"),
    ):
        cut_triplets(qwen(), [alike], 5)


def test_distilled_similarities_cost_nothing_at_first_and_are_kept(qwen, tmp_path) -> None:
    learner = task(qwen(), PLAIN, keep="distil")
    assert float(loss_of(learner, "plain", range(5)).detach()) == pytest.approx(0, abs=1e-5)
    kept_at, left_at = (
        drift(qwen(), tmp_path / str(number), plain, **choices)
        for number, (plain, choices) in enumerate(
            [(PLAIN, {"keep": "distil", "keep_share": 1.0, "keep_weight": 20.0}), (None, {})]
        )
    )
    assert kept_at < 0.5 * left_at


def drift(backbone, folder, plain, **choices) -> float:
    """How far similarities of plain captions are from those before, after some steps, in nats."""
    contents = [Content(text=wordings[0]) for wordings in PLAIN.captions]
    one_ND = torch.from_numpy(vectors(backbone, contents))
    train(task(backbone, plain, **choices), replace(LOOP, steps=16, batch=5), folder)
    backbone.checkpoint.model.eval()
    two_ND = torch.from_numpy(vectors(backbone, contents))
    return float(kept(alone(two_ND), alone(one_ND), temperature=0.05).mean())


def test_plain_pairs_are_contrasted_and_drawn_by_item_and_epoch(qwen, tmp_path) -> None:
    learner = task(qwen(), PLAIN, keep="pairs", keep_share=0.5)
    parts = learner.parts()
    assert {name: (part.length, part.weight) for name, part in parts.items()} == {
        "triplets": (11, 1.0),
        "plain": (5, 0.5),
    }
    drawn = {epoch: learner.batch(Draw("plain", epoch, (0, 1, 2, 3, 4))) for epoch in range(4)}
    for batch in drawn.values():
        sides = np.array([content.text for content in batch.inputs]).reshape(2, 5)
        for one, other, wordings in zip(*sides, PLAIN.captions, strict=True):
            assert one != other and {one, other} <= set(wordings)
    assert len({str([c.text for c in batch.inputs]) for batch in drawn.values()}) > 1
    embedder = Embedder(qwen())
    one_ND, other_ND = (
        embedder.encode_document([{"text": c.text} for c in side])
        for side in (drawn[0].inputs[:5], drawn[0].inputs[5:])
    )
    scores = (one_ND @ other_ND.T).astype(np.float64) / 0.05
    naive = np.mean(np.log(np.exp(scores).sum(axis=1)) - np.diag(scores))
    assert float(loss_of(learner, "plain", range(5)).detach()) == pytest.approx(naive, rel=1e-4)
    train(learner, LOOP, tmp_path)
    assert any("loss/pairs" in record for record in read_journal(tmp_path))


def test_an_item_may_be_several_triplets(qwen) -> None:
    learner = task(qwen(), each=4)
    assert learner.parts()["triplets"].length == 3
    batch = learner.batch(Draw("triplets", 0, (2, 0)))
    assert batch.counts == {"nuance": 7.0}  # the last item has the rest
    one_by_one = task(qwen())
    assert float(loss_of(learner, items=(2, 0)).detach()) == pytest.approx(
        float(loss_of(one_by_one, items=(8, 9, 10, 0, 1, 2, 3)).detach()), rel=1e-5
    )


def test_a_resume_with_another_mix_is_refused_and_with_the_same_goes_on(qwen, tmp_path) -> None:
    short = replace(LOOP, steps=2, checkpoint_every_s=0.0)
    train(task(qwen()), short, tmp_path)
    other = Mix(counts=MIX.counts, sources=lambda: (GeneratedTriplets("train", seed=1),))
    with pytest.raises(UsageError, match=r"made with another config[\s\S]*! task: [\s\S]*mix"):
        train(Nuance(qwen(), mixed(other), NuanceConfig(max_tokens=LONG)), short, tmp_path)
    with pytest.raises(UsageError, match="made with another config"):
        train(task(qwen(), PLAIN, keep="pairs"), short, tmp_path)
    again = task(qwen())
    train(again, short, tmp_path)
    fresh = task(qwen())
    train(fresh, short, tmp_path / "fresh")
    assert equal(*({n: v.detach() for n, v in one.parameters()} for one in (again, fresh)))


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({"temperature": 0.0}, r"temperature 0\.0 is out of range: see NuanceConfig"),
        ({"temperature": math.nan}, "temperature nan"),
        ({"max_tokens": 0}, "max_tokens 0"),
        ({"each": 0}, "each 0"),
        ({"share": -1.0}, r"share -1\.0"),
        ({"keep": "all"}, "keep 'all': choose distil or pairs, or None"),
        ({"keep_share": math.inf}, "keep_share inf"),
        ({"keep_weight": 0.0}, r"keep_weight 0\.0"),
        ({"keep_temperature": -0.1}, r"keep_temperature -0\.1"),
    ],
)
def test_choices_out_of_range_are_refused(choices, sentence) -> None:
    with pytest.raises(UsageError, match=sentence):
        NuanceConfig(**choices)


def test_keeping_needs_captions_and_pairs_need_two(qwen) -> None:
    backbone = qwen()
    with pytest.raises(UsageError, match="keep 'distil' with None: give plain captions, or leave"):
        task(backbone, keep="distil")
    with pytest.raises(UsageError, match=r"keep None with Plain.*: choose distil or pairs, or lea"):
        task(backbone, PLAIN)
    lone = Plain(name="alone", captions=(("a dog", "dogs"), ("a cat",)))
    with pytest.raises(UsageError, match="'a cat' of alone has one wording: pairs need two"):
        task(backbone, lone, keep="pairs")
    for captions in ((), ((),)):
        with pytest.raises(UsageError, match="plain captions 'none' have an item without one"):
            Plain(name="none", captions=captions)


@pytest.mark.parametrize("template", ["one word", "instruction"])
def test_a_caption_stands_where_the_clip_would_and_its_control_words_are_mere_text(
    qwen, template
) -> None:
    backbone = qwen(template=template)
    ids = backbone.prepare(Content(text="at night", caption="a dog <|im_end|> runs"))["input_ids"]
    told = backbone.checkpoint.family.processor.tokenizer.decode(ids[0])
    between = {"one word": "\nEdit instruction: ", "instruction": "\n"}[template]
    assert f"a dog < |im_end|> runs{between}at night" in told
    found = embed(backbone, [Content(text="at night", caption="a dog"), Content(text="at night")])
    assert float((found[0] @ found[1]).detach()) < 0.9999
    with pytest.raises(AssertionError, match="a caption is for an edit, in place of a clip"):
        Content(caption="a dog", clip=backbone.vision(moving_frames(2, 64, 64, seed=1)))
