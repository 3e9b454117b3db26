"""The generated world's videos after an edit, as a source of their own."""

from functools import lru_cache

import numpy as np

from kinoscope.errors import UsageError
from kinoscope.training.sources import GeneratedSource
from kinoscope.training.world import Scene, WorldConfig
from kinoscope.training.world.tasks import Edit, edits


class EditedSource(GeneratedSource):
    """The target of one edit of each scene: frames differ from the source's in that alone.

    Its examples are still those of the scenes before the edit; `edit` has the captions of both.
    """

    @property
    def name(self) -> str:
        """`world test 0..999 edited`."""
        return f"{super().name} edited"

    def scene(self, number: int) -> Scene:
        """What is true after the edit."""
        return self.edit(number).scene

    def identity(self, number: int) -> str:
        """Names the pixels."""
        return f"{super().identity(number)} edited: {self.edit(number).kind}"

    def edit(self, number: int) -> Edit:
        """One of those that the scene allows, chosen by its seed."""
        return _edit(super().scene(number))


def edited(split: str, count: int, config: WorldConfig) -> tuple[GeneratedSource, EditedSource]:
    """Videos and what an edit makes of them; `UsageError` for fewer than two."""
    if count < 2:
        raise UsageError(f"{count} videos to edit: take 2 or more")
    return GeneratedSource(split, count, config=config), EditedSource(split, count, config=config)


@lru_cache(maxsize=4096)
def _edit(scene: Scene) -> Edit:
    found = edits(scene)
    assert found, "a scene that allows no edit"
    return found[int(np.random.default_rng((scene.seed, 7)).integers(len(found)))]
