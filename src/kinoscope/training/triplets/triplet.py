"""A text triplet: anchor, positive, hard negative; its part, and why the negative is hard."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from kinoscope.training.sources.protocol import Declared
from kinoscope.types import Content

Part = Literal["core", "time", "direction", "state", "adverb", "order", "negation", "composed"]
PARTS: tuple[Part, ...] = get_args(Part)
"""`time` has opposite actions, `direction` and `state` opposite motions and changes of state."""


@dataclass(frozen=True, kw_only=True)
class Triplet:
    """Three texts, of which the anchor belongs to the positive, not to the negative.

    Attributes:
        anchor: a sentence; of a composed triplet the source's caption.
        edit: what is to be changed in the source, for a composed triplet; else empty.
        positive: a sentence that the anchor implies; of a composed triplet the target's caption.
        negative: a sentence near the anchor that is wrong.
        part: which nuance it teaches.
        why: in what the negative is wrong, `opposite action: open / close`.
    """

    anchor: str
    positive: str
    negative: str
    part: Part
    why: str
    edit: str = ""

    def __post_init__(self) -> None:
        assert self.part in PARTS, self.part
        assert bool(self.edit) == (self.part == "composed"), "an edit belongs to composed triplets"
        complaint = unlike(self.anchor if not self.edit else "", self.positive, self.negative)
        assert complaint is None, f"{complaint}: {self}"

    def contents(self) -> tuple[Content, Content, Content]:
        """Anchor, positive and negative as a model reads them, the anchor as a query.

        A composed anchor is put as a video with an edit is, its source's caption in the video's
        place; the other texts as texts.
        """
        anchor = Content(text=self.anchor, role="query")
        if self.edit:
            anchor = Content(text=self.edit, caption=self.anchor, role="query")
        return anchor, Content(text=self.positive), Content(text=self.negative)


class TripletSource(Declared, Protocol):
    """Where triplets come from; the same ones each time."""

    def of(self, part: Part, count: int) -> Sequence[Triplet]:
        """At most `count` different triplets of a part; the first of a larger count are these."""


def unlike(anchor: str, positive: str, negative: str) -> str | None:
    """What is wrong with three texts that do not differ as they must; None if nothing is.

    A composed triplet's anchor is empty here: its source may be the negative.
    """
    one, right, wrong = (" ".join(text.casefold().split()) for text in (anchor, positive, negative))
    if not right or not wrong:
        return "an empty text"
    if right == wrong:
        return "the positive is the negative"
    if one == right:
        return "the positive is the anchor"
    if one == wrong:
        return "the negative is the anchor"
    return None
