"""One film's features in, by pieces, vectors of its clips out: frames are let go when used."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kinoscope.sampling import (
    SamplingConfig,
    Window,
    cut_clips,
    frames_in,
    reserve_step,
    spread,
    whole_reserve,
)
from kinoscope.types import ClipEmbeddings, Embedded, Features, Span

EMBED_CLIPS = 16
"""Clips in one call of the model: enough to fill a batch, few enough to bound their frames."""

Indices = tuple[int, ...]


class ClipStream:
    """Makes the vectors of `cut_clips` without ever holding a long film.

    A window is embedded once the film has gone past it. What stays are the frames that a later
    window may need, and a bounded, even choice for the whole video where `clip_frames` bounds it.
    Clips with the same frames are embedded once.

    >>> stream = ClipStream(sampling, embed)
    >>> for part in parts: stream.add(part)
    >>> stream.finish(end_s)
    """

    def __init__(
        self, sampling: SamplingConfig, embed: Callable[[Sequence[Features]], Embedded]
    ) -> None:
        """`embed` turns N clips into unit vectors [N, D]."""
        self._sampling, self._embed = sampling, embed
        self._times: list[float] = []
        self._rows: dict[int, Any] = {}
        self._next = dict.fromkeys(sampling.windows, 0)
        self._waiting: dict[Indices, Features] = {}
        self._made: dict[Indices, Embedded] = {}  # of one clip each

    def add(self, features: Features) -> None:
        """Takes the next frames of the film."""
        count = len(self._times)
        self._times += features.times_F.tolist()
        # copies: a view would keep the whole piece alive
        self._rows |= {count + n: row.copy() for n, row in enumerate(features.values_F)}
        times_F = np.array(self._times)
        for window in self._sampling.windows:
            self._pass_windows(window, times_F)
        self._let_go()

    def finish(self, duration_s: float) -> ClipEmbeddings:
        """Vectors of all clips, the whole video first; `duration_s` is where the film ends."""
        clips = cut_clips(self._sampling, duration_s, np.array(self._times))
        for clip in clips:
            self._want(clip.indices)
        self._embed_waiting()
        made = [self._made[clip.indices] for clip in clips]
        return ClipEmbeddings(
            spans=tuple(clip.span for clip in clips),
            scales=tuple(clip.scale for clip in clips),
            vectors_ND=np.concatenate([one.vectors_ND for one in made]),
            steps=tuple(count for one in made for count in one.steps),
            reasons=tuple(reason for one in made for reason in one.reasons),
        )

    def whole(self) -> Features:
        """The frames that the whole video is read by, all of it having been added."""
        count, most = len(self._times), self._sampling.clip_frames
        return self._taken(spread(whole_reserve(count, most), most))

    def _pass_windows(self, window: Window, times_F: np.ndarray) -> None:
        """Wants the frames of every window that ends at or before the latest frame."""
        while (end_s := self._next[window] * window.stride_s + window.length_s) <= times_F[-1]:
            span = Span(self._next[window] * window.stride_s, end_s)
            self._want(spread(frames_in(span, times_F), self._sampling.clip_frames))
            self._next[window] += 1
            if len(self._waiting) >= EMBED_CLIPS:
                self._embed_waiting()

    def _want(self, indices: Indices) -> None:
        if indices not in self._made and indices not in self._waiting:
            self._waiting[indices] = self._taken(indices)

    def _taken(self, indices: Indices) -> Features:
        values_F = np.stack([self._rows[i] for i in indices])
        return Features(values_F, np.array([self._times[i] for i in indices]))

    def _embed_waiting(self) -> None:
        if self._waiting:
            found = self._embed(list(self._waiting.values()))
            assert len(found.vectors_ND) == len(self._waiting), len(found.vectors_ND)
            self._made |= {key: found.row(n) for n, key in enumerate(self._waiting)}
            self._waiting = {}

    def _let_go(self) -> None:
        """Drops frames before all windows to come, but for the whole video's choice."""
        count = len(self._times)
        step = reserve_step(count, self._sampling.clip_frames)
        first = min((self._first_needed(window) for window in self._next), default=count - 1)
        self._rows = {
            i: row for i, row in self._rows.items() if i >= first or i % step == 0 or i == count - 1
        }

    def _first_needed(self, window: Window) -> int:
        """The frame on screen when the next window starts, or the last window if the film ends."""
        start_s = min(self._next[window] * window.stride_s, self._times[-1] - window.length_s)
        return max(0, bisect_right(self._times, start_s) - 1)
