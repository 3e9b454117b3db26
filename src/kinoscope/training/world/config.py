"""What kind of videos the generated world draws."""

from dataclasses import dataclass
from typing import Literal, get_args

from kinoscope.errors import UsageError
from kinoscope.training.world.events import EVENTS
from kinoscope.training.world.nouns import Sprites


@dataclass(frozen=True, kw_only=True)
class WorldConfig:
    """What kind of videos to draw.

    Attributes:
        duration_s: length of each video, 2 s or more.
        sprites: sets of pictures to use; empty draws shapes and props alone, without a download.
        nouns: `held_out` shows the split's own nouns; `seen` those of the training in every split.
        max_shots, max_events, max_actors: at most so many shots in a video, events and actors in
            a shot.
        kinds: only these events; empty for all.
        clean: no camera movement, change of light, noise or compression.
    """

    duration_s: float = 5.0
    sprites: tuple[Sprites, ...] = ("photographed", "drawn")
    nouns: Literal["held_out", "seen"] = "held_out"
    max_shots: int = 3
    max_events: int = 3
    max_actors: int = 4
    kinds: tuple[str, ...] = ()
    clean: bool = False

    def __post_init__(self) -> None:
        if not 2 <= self.duration_s <= 600:
            raise UsageError(f"videos of {self.duration_s} s: choose 2 to 600 seconds")
        if self.nouns not in ("held_out", "seen"):
            raise UsageError(f"nouns {self.nouns!r}: choose held_out or seen")
        foreign = [name for name in self.sprites if name not in get_args(Sprites)]
        if foreign:
            raise UsageError(f"sprites {foreign[0]!r}: choose {' or '.join(get_args(Sprites))}")
        wrong = [name for name in self.kinds if name not in EVENTS]
        if wrong:
            raise UsageError(f"event {wrong[0]!r}: choose of {', '.join(EVENTS)}")
        for name in ("max_shots", "max_events", "max_actors"):
            if not 1 <= getattr(self, name) <= 4:
                raise UsageError(f"{name} {getattr(self, name)}: choose 1 to 4")
