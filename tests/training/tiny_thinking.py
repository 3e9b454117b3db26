"""What lessons teach of thinking in a few steps."""

from dataclasses import replace

import torch

from kinoscope.backbones.mini import untrained_mini
from kinoscope.thinking.config import ThinkConfig, Thinking
from kinoscope.training.thinking_losses import ThinkingLossConfig
from kinoscope.training.thoughts import ThinkingLesson, untaught
from tests.tiny_mini import as_if_trained

BUDGET = ThinkingLossConfig(target_steps=1.8, held=0.0)
LATENT = ThinkConfig(rule="halt", max_steps=4)
TEXT = ThinkConfig(source="text", rule="eos", max_steps=4)
VIDEOS = ThinkingLesson(sides=Thinking(document=LATENT), loss=BUDGET)
BOTH = replace(VIDEOS, sides=Thinking.both(LATENT))
IN_WORDS = replace(VIDEOS, sides=Thinking(document=TEXT))
IN_TWO = replace(
    VIDEOS,
    sides=Thinking(document=replace(LATENT, max_steps=2)),
    loss=replace(BUDGET, target_steps=1.4),
)


def thinking_mini(base, sides="none,latent:halt:4"):
    """Whose head and halting are no longer what they begin as."""
    lesson = replace(VIDEOS, sides=Thinking.parse(sides))
    thinker = untaught(as_if_trained(untrained_mini(base, layers=2)), lesson)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for values in thinker.learned.parameters():
            values += torch.randn(values.shape, generator=generator) * 0.05
    return thinker
