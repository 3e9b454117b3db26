"""What lessons teach of thinking in a few steps."""

from dataclasses import replace

from kinoscope.thinking.config import ThinkConfig, Thinking
from kinoscope.training.thinking_losses import ThinkingLossConfig
from kinoscope.training.thoughts import ThinkingLesson

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
