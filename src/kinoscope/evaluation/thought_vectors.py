"""A model that thinks, as a backbone: for measurements that ask for states."""

from collections.abc import Iterator, Sequence

import numpy as np

from kinoscope.backbones.protocol import Backbone
from kinoscope.evaluation.around import Around
from kinoscope.thinking.thinker import Thinker
from kinoscope.types import Content, States


class ThoughtVectors(Around):
    """The vector of a content's thoughts is its one state."""

    def __init__(self, thinker: Thinker) -> None:
        """`thinker` embeds, by its own rules."""
        super().__init__(thinker.backbone)
        self._thinker = thinker

    @property
    def weights(self) -> str:
        """Those of the backbone, and the rules and parts of thinking."""
        return f"{self._backbone.weights}; {self._thinker.describe()}"

    @property
    def dimension(self) -> int:
        """That of its states."""
        return self._thinker.size

    def states(self, contents: Sequence[Content]) -> Iterator[tuple[list[int], States]]:
        """The vector of each content as a single state [1, 1, D]."""
        for row, thought in enumerate(self._thinker.think(contents)):
            yield [row], States(thought.vector_D[None, None], np.ones((1, 1), np.bool_))


def as_backbone(model: Backbone | Thinker) -> Backbone:
    """Itself, or what gives the vectors of its thoughts."""
    return ThoughtVectors(model) if isinstance(model, Thinker) else model
