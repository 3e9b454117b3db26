"""A backbone around another one: it says the same of itself, and gives states of its own."""

from kinoscope.backbones.protocol import Backbone
from kinoscope.types import Features, Frames, Kind


class Around:
    """All of a `Backbone` but `states`; its vectors are whole: one state each, no mean taken off.

    Every property is that of the backbone inside, where a class does not say it anew.
    """

    centre_D = None

    def __init__(self, backbone: Backbone) -> None:
        """`backbone` is the one inside."""
        self._backbone = backbone

    @property
    def head(self) -> str:
        """Takes the one state that there is."""
        return "last"

    @property
    def kinds(self) -> frozenset[Kind]:
        """What can be embedded."""
        return self._backbone.kinds

    @property
    def limits(self) -> tuple[str, ...]:
        """What it cannot see."""
        return self._backbone.limits

    @property
    def model(self) -> str:
        """Its name."""
        return self._backbone.model

    @property
    def weights(self) -> str:
        """Their hash."""
        return self._backbone.weights

    @property
    def prompts(self) -> str:
        """Around each content."""
        return self._backbone.prompts

    @property
    def dimension(self) -> int:
        """Of its vectors."""
        return self._backbone.dimension

    @property
    def max_tokens(self) -> int:
        """Of a text."""
        return self._backbone.max_tokens

    def count_tokens(self, text: str) -> int:
        """Of a text."""
        return self._backbone.count_tokens(text)

    def vision(self, frames: Frames) -> Features:
        """Of each frame."""
        return self._backbone.vision(frames)
