"""A backbone whose vectors are kept by what was read: for videos that are made, not decoded."""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from kinoscope.evaluation.around import Around
from kinoscope.evaluation.runner.asking import Asking
from kinoscope.evaluation.runner.kept import item
from kinoscope.evaluation.world.vectors import embed
from kinoscope.heads import truncate
from kinoscope.types import Content, Float32, States

_GROUP = 64
"""Contents that are embedded together, and kept together."""


class KeptBackbone(Around):
    """Gives the embedder's own unit vectors as states; those that it gave before are read.

    A clip is known by its features: another model, or sampling, has a folder of its own.
    """

    def __init__(self, asking: Asking) -> None:
        """Counts and seconds are those of `asking`."""
        super().__init__(asking.backbone)
        self._asking = asking

    @property
    def dimension(self) -> int:
        """The embedder's."""
        return self._asking.dimension

    def states(self, contents: Sequence[Content]) -> Iterator[tuple[list[int], States]]:
        """The vector of each content as a single state [1, 1, D]."""
        names = [_name(content) for content in contents]
        self._asking.texts.update(c.text for c in contents if c.text is not None)
        found, places = self._asking.split(names, lambda n: self._asking.kept.vector(names[n]))
        missing = {names[place]: contents[place] for place in places}
        found.update(self._new(missing))
        if names:
            rows_ND = np.stack([found[name] for name in names])
            yield (
                list(range(len(names))),
                States(rows_ND[:, None], np.ones((len(names), 1), np.bool_)),
            )

    def _new(self, missing: dict[str, Content]) -> Iterator[tuple[str, Float32]]:
        embedder, waiting = self._asking.embedder, iter(missing.items())
        while group := list(islice(waiting, _GROUP)):
            with self._asking.phase("vectors"):
                found_ND = embed(embedder.thinker or embedder.backbone, [c for _, c in group])
            for (name, _), vector_D in zip(group, truncate(found_ND, self.dimension), strict=True):
                self._asking.kept.keep_vector(name, vector_D)
                self._asking.count("vectors")
                yield name, vector_D


def _name(content: Content) -> str:
    clip, pixels = content.clip, ""
    if clip is not None:
        values_F = np.ascontiguousarray(clip.values_F)
        digest = hashlib.sha256(f"{values_F.dtype} {values_F.shape}".encode())
        digest.update(values_F.tobytes())
        digest.update(clip.times_F.tobytes())
        pixels = digest.hexdigest()
    return item("content", content.role, content.text, content.caption, content.still, pixels)
