"""Vectors and answers with gradients are those of the models themselves, for every family."""

import numpy as np
import pytest
import torch

from kinoscope import Embedder
from kinoscope.backbones.likelihood import answered
from kinoscope.backbones.loading import load_backbone
from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.options import LoadOptions
from kinoscope.errors import UsageError
from kinoscope.training.losses import IGNORED
from kinoscope.training.teaching import embed, teach
from kinoscope.types import Content
from tests.tiny import FAMILIES, moving_frames, tiny

ANSWERS = ("a fox runs to the left, then it stops", "yes", "a door that opens", "three")


@pytest.fixture(scope="module", params=FAMILIES)
def backbone(request, tmp_path_factory, one_torch_thread) -> MLLM:
    folder = tiny(request.param, tmp_path_factory.mktemp("tiny") / request.param)
    return load_backbone(str(folder))[0]


def contents(backbone: MLLM) -> list[Content]:
    clips = [backbone.vision(moving_frames(count, 56, 84, count)) for count in (4, 2)]
    return [
        Content(clip=clips[0], text="what happens?"),
        Content(text="is a door a thing that opens and closes, more or less?"),
        Content(clip=clips[1].take([0]), still=True, text="what is it?"),
        Content(clip=clips[1], text="how many?"),
    ]


def test_vectors_with_gradient_are_the_embedders(backbone) -> None:
    frames = moving_frames(4, 56, 84, 0)
    inputs = ["a door opens", {"video": frames}, {"video": frames, "text": "at night"}]
    wanted = Embedder(backbone).encode_document(inputs)
    clip = backbone.vision(frames)
    given = [Content(text="a door opens"), Content(clip=clip), Content(clip=clip, text="at night")]
    found = embed(backbone, given)
    assert found.requires_grad
    assert (found.detach().numpy() * wanted).sum(axis=1).min() >= 0.99999


def test_the_loss_of_answers_is_the_models_own(backbone) -> None:
    asked = contents(backbone)
    total, count = teach(backbone, asked, ANSWERS)
    wanted, tokens = 0.0, 0
    for content, answer in zip(asked, ANSWERS, strict=True):  # one by one, by the model itself
        ((_, batch, labels_1T),) = answered(backbone, [content], [answer])
        with torch.inference_mode():
            out = backbone.checkpoint.model(**batch, labels=labels_1T)
        here = int((labels_1T[:, 1:] != IGNORED).sum())
        wanted, tokens = wanted + float(out.loss) * here, tokens + here
    tokenizer = backbone.checkpoint.family.processor.tokenizer
    lengths = [len(tokenizer(a, add_special_tokens=False)["input_ids"]) + 1 for a in ANSWERS]
    assert count == tokens == sum(lengths)
    assert float(total.detach()) == pytest.approx(wanted, rel=1e-4)


def test_gradients_reach_the_language_model(backbone) -> None:
    network = backbone.checkpoint.model
    network.zero_grad()
    total, count = teach(backbone, contents(backbone)[:2], ANSWERS[:2])
    (total / count).backward()
    weight = next(
        v for n, v in network.named_parameters() if "q_proj.weight" in n and "vision" not in n
    )
    assert weight.grad is not None and bool(weight.grad.abs().sum() > 0)
    network.zero_grad()


def test_only_answers_are_labels_and_they_stand_behind_the_prompt(backbone) -> None:
    tokenizer = backbone.checkpoint.family.processor.tokenizer
    for rows, batch, labels_BT in answered(backbone, contents(backbone), ANSWERS):
        for place, row in enumerate(rows):
            real = labels_BT[place] != IGNORED
            text = tokenizer.decode(labels_BT[place][real][:-1])
            assert text == ANSWERS[row]
            assert int(labels_BT[place][real][-1]) == tokenizer.eos_token_id
            assert (batch["input_ids"][place][real] == labels_BT[place][real]).all()
            assert batch["attention_mask"][place][real].all()
            last = np.flatnonzero(batch["attention_mask"][place].numpy())[-1]
            assert bool(real[last])


def test_as_many_answers_as_contents(backbone) -> None:
    with pytest.raises(UsageError, match="1 answers to 4 contents"):
        teach(backbone, contents(backbone), ["yes"])


def test_an_earlier_layer_teaches_nothing(tmp_path) -> None:
    folder = tiny("qwen2_vl", tmp_path / "tiny")
    early, _ = load_backbone(str(folder), LoadOptions(layer=2))
    with pytest.raises(UsageError, match="'last of layer 2' predicts no tokens"):
        teach(early, [Content(text="what?")], ["yes"])
