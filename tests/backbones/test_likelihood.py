"""How likely answers are: token by token as the models themselves say, whatever else is there."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kinoscope.backbones.likelihood import likeliest, log_likelihoods
from kinoscope.backbones.loading import load_backbone
from kinoscope.backbones.mini import untrained_mini
from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.options import LoadOptions
from kinoscope.errors import UsageError
from kinoscope.prompts import CHAT
from kinoscope.types import Content
from tests.tiny import FAMILIES, moving_frames
from tests.tiny_mini import as_if_trained

EVERY = (*FAMILIES, "mini")
ANSWERS = ("a fox runs to the left, then it stops", "yes", "a door that opens", "three", "")


@pytest.fixture
def speaking(checkpoint, mini_base, mini_set_up):
    """Makes the tiny model of a family, with options of `LoadOptions`."""

    def make(family: str, **options) -> MLLM:
        if family == "mini":
            return as_if_trained(
                untrained_mini(mini_base, layers=2, options=LoadOptions(**options))
            )
        return load_backbone(str(checkpoint(family)), LoadOptions(**options))[0]

    return make


def contents(backbone: MLLM) -> list[Content]:
    side = (260, 260) if backbone.model == "mini" else (56, 84)
    clips = [backbone.vision(moving_frames(count, *side, count)) for count in (4, 2)]
    return [
        Content(clip=clips[0], text="what happens?"),
        Content(text="is a door a thing that opens and closes, more or less?"),
        Content(clip=clips[1].take([0]), still=True, text="what is it?"),
        Content(clip=clips[1], text="how many?"),
        Content(clip=clips[1], text="how many?"),
    ]


def one_by_one(backbone: MLLM, content: Content, answer: str) -> float:
    """Each token in turn, given those before it, by the whole model's own logits."""
    tokenizer, network = backbone.checkpoint.family.processor.tokenizer, backbone.checkpoint.model
    inputs, total = backbone.prepare(content, CHAT), 0.0
    ids = [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    for token in ids:
        with torch.inference_mode():
            logits_V = network(**inputs).logits[0, -1]
        total += float(logits_V.double().log_softmax(dim=0)[token])
        more = torch.tensor([[token]])
        behind = {"input_ids": more, "attention_mask": more * 0 + 1}
        behind |= {"token_type_ids": more * 0 + 1, "mm_token_type_ids": more * 0}
        for key in behind.keys() & inputs.keys():
            inputs[key] = torch.cat([inputs[key], behind[key].to(inputs[key].dtype)], dim=1)
    return total


@pytest.mark.parametrize("family", EVERY)
def test_a_likelihood_is_that_of_its_tokens_one_by_one(speaking, family) -> None:
    backbone = speaking(family)
    asked = contents(backbone)
    found_N = log_likelihoods(backbone, asked, ANSWERS)
    assert (found_N.dtype, found_N.shape) == (np.float32, (len(asked),))
    wanted = [one_by_one(backbone, *pair) for pair in zip(asked, ANSWERS, strict=True)]
    np.testing.assert_allclose(found_N, wanted, rtol=1e-4, atol=1e-3)
    assert np.ptp(found_N) > 1, "answers that do not differ"


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("family", EVERY)
def test_a_likelihood_depends_neither_on_batch_nor_on_padding(speaking, family, side) -> None:
    backbone = speaking(family, padding_side=side)
    asked = contents(backbone)
    together_N = log_likelihoods(backbone, asked, ANSWERS)
    alone = [
        log_likelihoods(backbone, *([x] for x in pair)) for pair in zip(asked, ANSWERS, strict=True)
    ]
    np.testing.assert_allclose(together_N, np.concatenate(alone), rtol=1e-4, atol=1e-3)
    backwards_N = log_likelihoods(backbone, asked[::-1], ANSWERS[::-1])[::-1]
    np.testing.assert_allclose(together_N, backwards_N, rtol=1e-4, atol=1e-3)


def test_many_tokens_are_counted_in_parts(speaking) -> None:
    backbone = speaking("qwen2_vl")
    asked, long = [Content(text="what?")], ["the door opens, then the door closes and " * 30]
    tokens = len(backbone.checkpoint.family.processor.tokenizer(long[0])["input_ids"])
    assert tokens > 256, tokens
    wanted = one_by_one_batch(backbone, asked[0], long[0])
    assert log_likelihoods(backbone, asked, long)[0] == pytest.approx(wanted, rel=1e-4)


def one_by_one_batch(backbone: MLLM, content: Content, answer: str) -> float:
    """In one pass, by the whole model's own loss."""
    tokenizer, prompt = backbone.checkpoint.family.processor.tokenizer, None
    prompt = backbone.prepare(content, CHAT)["input_ids"]
    ids = [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    whole = torch.cat([prompt, torch.tensor([ids])], dim=1)
    with torch.inference_mode():
        logits_TV = backbone.checkpoint.model(input_ids=whole).logits[0, :-1].double()
    rows_T = logits_TV.log_softmax(dim=1)[torch.arange(len(logits_TV)), whole[0, 1:]]
    return float(rows_T[-len(ids) :].sum())


def test_logits_that_a_model_bounds_are_bounded(speaking) -> None:
    backbone = speaking("paligemma2")
    asked, answer = contents(backbone)[0], "a door that opens"
    (free,) = log_likelihoods(backbone, [asked], [answer])
    backbone.checkpoint.model.config.get_text_config().final_logit_softcapping = 0.3
    (bounded,) = log_likelihoods(backbone, [asked], [answer])
    assert bounded == pytest.approx(one_by_one(backbone, asked, answer), rel=1e-4)
    assert abs(bounded - free) > 0.1, "the bound is never reached"


def test_an_earlier_layer_embeds_but_the_head_speaks(speaking) -> None:
    early, last = speaking("qwen3_vl", layer=2), speaking("qwen3_vl")
    asked = contents(last)
    found = [log_likelihoods(backbone, asked, ANSWERS) for backbone in (early, last)]
    np.testing.assert_array_equal(*found)


def test_no_gradient_is_kept_and_mixed_precision_changes_little(speaking) -> None:
    backbone = speaking("mini")
    asked = contents(backbone)
    exact_N = log_likelihoods(backbone, asked, ANSWERS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded_N = log_likelihoods(backbone, asked, ANSWERS)
    np.testing.assert_allclose(rounded_N, exact_N, rtol=0.05)
    assert all(values.grad is None for values in backbone.checkpoint.model.parameters())


@pytest.mark.parametrize("family", ["qwen3_vl", "paligemma2", "mini"])
def test_the_likeliest_option_is_chosen_the_first_of_equals(speaking, family) -> None:
    backbone = speaking(family)
    options = ["a fox", "a door that opens, then closes", "snow", "three", "yes"]
    for content in contents(backbone)[:3]:
        scores_N = log_likelihoods(backbone, [content] * len(options), options)
        assert likeliest(backbone, content, options) == options[int(scores_N.argmax())]
        assert likeliest(backbone, content, options[::-1]) == options[int(scores_N.argmax())]
        same = ["snow", "snow", *options]
        assert likeliest(backbone, content, same) == options[int(scores_N.argmax())]


def test_what_has_no_likelihood_is_refused(speaking) -> None:
    backbone = speaking("mini")
    asked = contents(backbone)
    with pytest.raises(UsageError, match="1 answers to 5 contents: give one each"):
        log_likelihoods(backbone, asked, ["yes"])
    with pytest.raises(
        UsageError, match="answer 'a <file_sep>' has the model's own '<file_sep>': "
    ):
        log_likelihoods(backbone, asked[:2], ["yes", "a <file_sep>"])
    with torch.no_grad():
        backbone.checkpoint.model.get_output_embeddings().weight.zero_()
    headless = MLLM(replace(backbone.checkpoint, name="headless"), LoadOptions())
    with pytest.raises(UsageError, match="headless has no language-model head, so it says nothing"):
        log_likelihoods(headless, asked[:1], ["yes"])
    assert log_likelihoods(speaking("mini"), [], []).shape == (0,)
