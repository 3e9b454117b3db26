"""The loop trains a multimodal LLM as it is: text moves its language model, never its eye."""

import pytest
import torch

from kinoscope.backbones.loading import load_backbone
from kinoscope.backbones.options import LoadOptions
from kinoscope.backbones.session import last_states
from kinoscope.training.gather import alone
from kinoscope.training.journal import read_journal
from kinoscope.training.loop import train
from kinoscope.training.losses import two_way
from kinoscope.training.sampler import Part
from kinoscope.training.task import Batch, LoopConfig, Terms
from kinoscope.types import Content
from tests.tiny import moving_frames, tiny

pytestmark = pytest.mark.usefixtures("one_torch_thread")


class TextPairs:
    """Contrast of texts under a multimodal LLM: only its language model learns."""

    def __init__(self, backbone):
        self.backbone = backbone
        self.net = backbone.checkpoint.model
        self.net.requires_grad_(False)
        self.trained = {
            name: value
            for name, value in self.net.named_parameters()
            if "language_model.layers" in name
        }
        for value in self.trained.values():
            value.requires_grad_(True)
        words = ["a dog runs", "a cat sleeps", "the door opens", "rain falls", "he cooks", "a car"]
        self.pairs = [(text, f"{text} again, slowly") for text in words]

    def describe(self):
        return {"texts": len(self.pairs)}

    def parameters(self):
        return self.trained.items()

    def parts(self):
        return {"texts": Part(length=len(self.pairs))}

    def batch(self, draw):
        return Batch([self.pairs[item] for item in draw.items], {"contrast": len(draw.items)})

    def rows(self, texts):
        found = [None] * len(texts)
        for rows, batch in self.backbone.batches([Content(text=text) for text in texts]):
            states_BD = last_states(self.backbone.hidden(batch), batch["attention_mask"])
            for row, state_D in zip(rows, states_BD, strict=True):
                found[row] = state_D
        return torch.nn.functional.normalize(torch.stack(found), dim=-1)

    def losses(self, batch, step):
        self.net.train()
        sides = [alone(self.rows(list(side))) for side in zip(*batch.inputs, strict=True)]
        both = two_way(*sides, temperature=0.1)
        return Terms({"contrast": both.rows_B.sum()}, {"contrast": 1.0})

    def validate(self):
        return {}


def test_a_multimodal_model_learns_from_text_and_its_eye_stays_the_same(tmp_path):
    backbone, _ = load_backbone(str(tiny("qwen3_vl", tmp_path / "model")), LoadOptions())
    task = TextPairs(backbone)
    before = {name: value.clone() for name, value in backbone.checkpoint.model.state_dict().items()}
    clip = Content(clip=backbone.vision(moving_frames(4, 64, 64, seed=1)))
    seen = next(backbone.states([clip]))[1].states_BTD.copy()
    train(task, LoopConfig(steps=10, batch=6, lr=2e-3), tmp_path / "run")
    losses = [record["loss/contrast"] for record in read_journal(tmp_path / "run")]
    assert losses[-1] < 0.6 * losses[0]
    after = backbone.checkpoint.model.state_dict()
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved == set(task.trained)
    assert not any("visual" in name for name in moved)
    assert (next(backbone.states([clip]))[1].states_BTD != seen).any()
