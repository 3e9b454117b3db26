"""What is looked for: a description, a picture, a piece of video, an edit, more like this, but not.

A query becomes one unit vector, so that every index can answer it; what it excludes becomes a
penalty, see `exclusion.py`. "without a dog" inside a sentence is read by the model as it stands.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kinoscope.documents import Document, Source, as_request, checked_text
from kinoscope.errors import UsageError
from kinoscope.types import Float32, Frames
from kinoscope.usual import Usual

MOST = 16
"""Examples, or excluded texts, of one query."""

Encode = Callable[[Sequence[Document]], Float32]
"""Unit vectors [N, D] of N queries, as `Embedder.encode_query` gives them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Query:
    """What is looked for.

    Attributes:
        text: a description; beside a picture or a video, an edit: what it would be after that.
        image: a picture to look for.
        video: a video, or an `Excerpt` of one, to look for.
        like: examples, alone or beside the rest: each counts as much as the rest, see `direction`.
        excluded: texts of what a hit must not show.

    Raises `UsageError` for a query that says nothing, or contradicts itself.

    >>> search(index, Query(video=Excerpt(Path("beach.mp4"), Span(12, 17)), text="at night"))
    >>> search(index, Query(text="a park", excluded=("a dog",)))
    """

    text: str | None = None
    image: Source | None = None
    video: Source | None = None
    like: tuple[Document, ...] = ()
    excluded: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.image is not None and self.video is not None:
            raise UsageError("a picture and a video in one query: give one of them as an example")
        if self.text is None and self.image is None and self.video is None and not self.like:
            raise UsageError("the query is empty: give a text, a picture, a video or an example")
        for name in ("like", "excluded"):
            given = getattr(self, name)
            if isinstance(given, str) or len(given) > MOST:
                raise UsageError(f"{name} of {len(given)}: give a list of at most {MOST}")
        for document in self.documents:
            as_request(document, "query")
        wanted = None if self.text is None else _plain(self.text)
        for text in self.excluded:
            if _plain(checked_text(text)) == wanted:
                raise UsageError(f"{text!r} is both looked for and excluded: nothing can be both")

    @property
    def documents(self) -> list[Document]:
        """What is encoded as queries: the request itself, then the examples."""
        named = {"image": self.image, "video": self.video, "text": self.text}
        given = {name: value for name, value in named.items() if value is not None}
        return [*([given] if given else []), *self.like]

    def __str__(self) -> str:
        """For people: `beach.mp4@12-17 + 'at night', not 'a dog'`."""
        source = self.video if self.video is not None else self.image
        parts = [] if source is None else [_name(source)]
        parts += [] if self.text is None else [self.text if source is None else repr(self.text)]
        parts += [f"like {_name(each)}" for each in self.like]
        excluded = "".join(f", not {text!r}" for text in self.excluded)
        return " + ".join(parts) + excluded


def direction(parts_PD: Float32, usual: Usual) -> Float32:
    """The unit vector [D] that a query looks for; its parts [P, D] are those of `documents`.

    With examples it is the sum of all parts' vectors, each divided by how far its cosines spread
    over the library: a text's are all near each other, a video's are not, and would rule alone.
    Raises `UsageError` where nothing is left.
    """
    if len(parts_PD) == 1:
        return np.asarray(parts_PD[0])
    sum_D = (parts_PD.astype(np.float64) / usual.spreads(parts_PD)[:, None]).sum(axis=0)
    length = float(np.linalg.norm(sum_D))
    if not length > 0:
        raise UsageError("the parts of the query cancel each other out: leave one away")
    return np.asarray(sum_D / length, np.float32)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".!")


def _name(document: Document) -> str:
    return "frames" if isinstance(document, Frames) else str(document)
