"""Steps behind a cache are those of reading all of it again; gradients go through mixtures."""

import numpy as np
import pytest
import torch

from kinoscope.backbones.session import KVSession
from kinoscope.thinking.config import ThinkConfig, Thinking
from kinoscope.thinking.steps import end_ids, likeliest_ids, soft_tokens
from kinoscope.thinking.thinker import Thinker, prefixes
from tests.backbones.checks import SAME, cosine
from tests.thinking import naive

STEPS = 4


def least(found_KD, wanted_KD):
    return min(cosine(one_D, other_D) for one_D, other_D in zip(found_KD, wanted_KD, strict=True))


def thinker(backbone, rule, pooling="last"):
    return Thinker(backbone, Thinking.parse(rule), pooling)


def test_steps_of_every_family_are_those_of_reading_everything_again(any_backbone):
    contents = naive.contents(any_backbone)
    latent, text = (
        thinker(any_backbone, f"{source}:fixed:{STEPS}").think(contents)
        for source in ("latent", "text")
    )
    for row, content in enumerate(contents):
        assert least(latent[row].states_KD, naive.latent(any_backbone, content, STEPS)) >= SAME
        wanted_KD, _ = naive.text(any_backbone, content, STEPS)
        assert least(text[row].states_KD, wanted_KD[: text[row].steps]) >= SAME


@pytest.mark.parametrize("top", [3, 4096])
def test_latent_steps_mix_as_many_words_as_they_are_told(backbone, top):
    contents = naive.contents(backbone)
    config = ThinkConfig(max_steps=STEPS, top=top)
    thoughts = Thinker(backbone, Thinking.both(config)).think(contents)
    for content, thought in zip(contents, thoughts, strict=True):
        wanted_KD = naive.latent(backbone, content, STEPS, top)
        assert least(thought.states_KD, wanted_KD) >= SAME
        assert cosine(thought.states_KD[1], naive.latent(backbone, content, 2, 100)[1]) < SAME


def test_text_steps_are_those_of_reading_everything_again_and_what_generate_says(backbone):
    contents = naive.contents(backbone)
    thoughts = thinker(backbone, f"text:fixed:{STEPS}").think(contents)
    network = backbone.checkpoint.model
    tokenizer = backbone.checkpoint.family.processor.tokenizer
    for content, thought in zip(contents, thoughts, strict=True):
        wanted_KD, ids = naive.text(backbone, content, STEPS)
        assert thought.steps == STEPS
        assert least(thought.states_KD, wanted_KD) >= SAME
        inputs = backbone.prepare(content)
        said = network.generate(**inputs, max_new_tokens=STEPS - 1, do_sample=False)
        assert said[0, inputs["input_ids"].shape[1] :].tolist() == ids
        assert thought.words == tokenizer.decode(ids, skip_special_tokens=True).strip()


def test_a_state_is_that_after_reading_a_token_not_the_one_that_predicts_it(backbone):
    (content, *_) = naive.contents(backbone)
    (thought,) = thinker(backbone, "text:fixed:2").think([content])
    with torch.no_grad():
        first_D = naive.reread(backbone, content, [])
        word = int(naive.said(backbone, first_D).argmax())
        embedding_D = backbone.checkpoint.model.get_input_embeddings()(torch.tensor(word))
        second_D = naive.reread(backbone, content, [embedding_D])
    assert cosine(thought.prompt_D, first_D.numpy()) >= SAME
    assert cosine(thought.states_KD[1], second_D.numpy()) >= SAME
    assert cosine(thought.states_KD[1], first_D.numpy()) < 0.99


def test_the_first_thought_is_the_vector_without_thinking(backbone):
    contents = naive.contents(backbone)
    plain = np.empty((len(contents), backbone.dimension), np.float32)
    for rows, states in backbone.states(contents):
        plain[rows] = states.states_BTD[:, 0]
    thoughts = thinker(backbone, "fixed:1", "mean").think(contents)
    assert least([t.vector_D for t in thoughts], plain) >= SAME
    assert least([t.prompt_D for t in thoughts], plain) >= SAME


def test_a_mixture_of_one_word_is_that_word(backbone):
    (content, *_) = naive.contents(backbone)
    with torch.inference_mode():
        states_BD = backbone.read([content]).last_BD
        word_BD = backbone.embed_tokens(likeliest_ids(backbone, states_BD))
        torch.testing.assert_close(soft_tokens(backbone, states_BD, 1), word_BD)


@pytest.mark.parametrize(("source", "flows"), [("latent", True), ("text", False)])
def test_a_gradient_goes_through_a_mixture_and_not_through_a_word(
    backbone, source, flows, monkeypatch
):
    contents, read, original = naive.contents(backbone), [], KVSession.step

    def step(session, inputs_BD):
        read.append((session.last_BD, inputs_BD))
        return original(session, inputs_BD)

    monkeypatch.setattr(KVSession, "step", step)
    made = thinker(backbone, f"{source}:fixed:3")
    _, z_BKD, _ = prefixes(made, contents, 3, "document")
    before_BD, inputs_BD = read[0]
    (through,) = torch.autograd.grad(
        inputs_BD.square().sum(), before_BD, retain_graph=True, allow_unused=True
    )
    (reached,) = torch.autograd.grad(z_BKD[:, -1].sum(), inputs_BD, retain_graph=True)
    assert reached.isfinite().all() and (reached.abs().amax(dim=1) > 0).all()
    assert (through is not None) is flows
    if flows:
        assert through.isfinite().all() and (through.abs().amax(dim=1) > 0).all()


def test_prefixes_are_what_thinking_gives_row_by_row_in_any_order(backbone):
    contents = naive.contents(backbone)
    for source in ("latent", "text"):
        made = thinker(backbone, f"{source}:fixed:{STEPS}", "mean")
        thoughts = made.think(contents)
        with torch.no_grad():
            states_BKD, z_BKD, lambdas_BK = prefixes(made, contents, STEPS, "document")
        assert not lambdas_BK.any()
        for row, thought in enumerate(thoughts):
            assert least(states_BKD[row].numpy(), thought.states_KD) >= SAME
            assert cosine(z_BKD[row, -1].numpy(), thought.vector_D) >= SAME
            turned = (z_BKD[row, 1:] * z_BKD[row, :-1]).sum(dim=1).numpy()
            np.testing.assert_allclose(turned, thought.curve_K[1:], atol=1e-4)


def test_behind_the_end_of_a_text_a_prefix_stays_and_its_chance_is_one(backbone, monkeypatch):
    contents = naive.contents(backbone)[:2]
    _, ids = naive.text(backbone, contents[0], 3)
    monkeypatch.setattr(backbone.checkpoint.model.generation_config, "eos_token_id", [ids[1]])
    assert end_ids(backbone) == {ids[1]}
    made = thinker(backbone, "text:eos:6", "mean")
    ended, _other = made.think(contents)
    expected = 1 if ids[0] == ids[1] else 2
    assert (ended.steps, ended.reason) == (expected, "eos")
    with torch.no_grad():
        _, z_BKD, lambdas_BK = prefixes(made, contents, 6, "document")
    for k in range(expected - 1, 6):
        assert cosine(z_BKD[0, k].numpy(), ended.vector_D) >= SAME
    assert lambdas_BK[0].tolist() == [0.0] * (expected - 1) + [1.0] * (6 - expected) + [0.0]
