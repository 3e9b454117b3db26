"""The mean of a video's frames, each embedded alone: the control that sees no order."""

from collections.abc import Iterator, Sequence

import numpy as np

from kinoscope.embedder import Embedder
from kinoscope.errors import UsageError
from kinoscope.evaluation.around import Around
from kinoscope.evaluation.world.vectors import embed, embed_clips
from kinoscope.types import Content, Features, Float32, Frames, Kind, States


def mean_of_frames(embedder: Embedder) -> Embedder:
    """An embedder whose video vector is the mean of the vectors of its frames; texts as they are.

    Raises `UsageError` for one that thinks: steps before a vector are of the whole video.
    """
    if embedder.thinker is not None:
        raise UsageError("the mean of frames takes no steps: leave the model's thinking out (none)")
    means = FrameMeans(embedder.backbone)
    return Embedder(means, sampling=embedder.sampling, truncate_dim=embedder.dimension)


class FrameMeans(Around):
    """A backbone for clips whose rows are unit vectors of single frames: it averages them.

    The control that cannot see order: a clip and its reversal are the same numbers, added up in
    the same order. Texts are those of the model that made the rows.
    """

    @property
    def kinds(self) -> frozenset[Kind]:
        """No still, nothing composed."""
        return frozenset({"text", "video"})

    @property
    def limits(self) -> tuple[str, ...]:
        """What averaging loses."""
        return ("sees no order of frames",)

    @property
    def model(self) -> str:
        """Says of which frames."""
        return f"mean of frames of {self._backbone.model}"

    @property
    def head(self) -> str:
        """Sets its vectors apart from the model's own."""
        return f"mean of frames, each {self._backbone.head}"

    def vision(self, frames: Frames) -> Features:
        """Each frame's unit vector."""
        seen = self._backbone.vision(frames)
        rows = [seen.take([row]) for row in range(len(seen))]
        return Features(embed_clips(self._backbone, rows), seen.times_F)

    def states(self, contents: Sequence[Content]) -> Iterator[tuple[list[int], States]]:
        """The mean of a clip's rows, or the state of a text [B, 1, D]."""
        clips = {n: c.clip for n, c in enumerate(contents) if c.clip is not None}
        texts = [n for n in range(len(contents)) if n not in clips]
        if clips:
            yield list(clips), _single([_mean(np.asarray(c.values_F)) for c in clips.values()])
        if texts:
            yield texts, _single(list(embed(self._backbone, [contents[n] for n in texts])))


def _mean(rows_FD: Float32) -> Float32:
    """[D], the same whatever the order of rows."""
    mean_D: Float32 = np.sort(rows_FD.astype(np.float64), axis=0).mean(axis=0).astype(np.float32)
    return mean_D


def _single(rows: Sequence[Float32]) -> States:
    return States(np.stack(rows)[:, None], np.ones((len(rows), 1), np.bool_))
