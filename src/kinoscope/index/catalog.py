"""Columns of everything that can be found: clips, the videos they belong to, and their paths."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kinoscope.index.mapped import pieces
from kinoscope.index.rows import ClipTable, FileRow
from kinoscope.sampling import WHOLE
from kinoscope.types import Bool, ClipEmbeddings, Float32, Float64, Int64, Span


@dataclass(frozen=True, eq=False, kw_only=True)
class Catalog:
    """Columns of N clips, of the V videos they belong to, and of the P paths of those videos.

    Attributes:
        vectors_ND: float32, unit length; maybe a memory map.
        video_N: index of each clip's video, ascending.
        scale_N: index of each clip's scale in `scales`.
        start_s_N, end_s_N: where each clip lies, in seconds.
        duration_s_V: length of each video in seconds.
        whole_mean_D: mean of the V whole-video vectors; zeros if there are none.
        path_video_P: index of each path's video, ascending.
        mtime_s_P: when each path was last modified, in seconds since 1970.
        paths: absolute paths, sorted within each video.
        scales: names of the scales.
        steps_N, reason_N: how many thoughts each clip's vector is made of, and index in `reasons`
            of what ended them; 0 and "" where the model does not think.
        reasons: names of the reasons.
    """

    vectors_ND: Float32
    video_N: Int64
    scale_N: Int64
    start_s_N: Float64
    end_s_N: Float64
    duration_s_V: Float64
    whole_mean_D: Float64
    path_video_P: Int64
    mtime_s_P: Float64
    paths: tuple[str, ...]
    scales: tuple[str, ...]
    steps_N: Int64
    reason_N: Int64
    reasons: tuple[str, ...]

    def __repr__(self) -> str:
        videos, paths = len(self.duration_s_V), len(self.paths)
        return f"Catalog(ND={list(self.vectors_ND.shape)}, V={videos}, P={paths})"

    def find_damage(self) -> str:
        """Says what does not fit together; empty if all does. Files can be damaged."""
        clips, videos, paths = len(self.vectors_ND), len(self.duration_s_V), len(self.paths)
        times = (self.start_s_N, self.end_s_N)
        numbers = (self.video_N, self.scale_N, self.steps_N, self.reason_N)
        if any(column.shape != (clips,) for column in (*times, *numbers)):
            return "clip columns differ in length"
        if any(column.shape != (paths,) for column in (self.path_video_P, self.mtime_s_P)):
            return "path columns differ in length"
        if self.whole_mean_D.shape != self.vectors_ND.shape[1:]:
            return "the mean has another dimension"
        pointers = (
            (self.video_N, videos),
            (self.path_video_P, videos),
            (self.scale_N, len(self.scales)),
            (self.reason_N, len(self.reasons)),
        )
        if any(((column < 0) | (column >= limit)).any() for column, limit in pointers):
            return "an index points nowhere"
        pairs = (("clips", self.video_N), ("paths", self.path_video_P))
        return next((f"{n} are not sorted" for n, c in pairs if (np.diff(c) < 0).any()), "")

    @cached_property
    def whole_N(self) -> Bool:
        """Rows that stand for whole videos."""
        return np.array([scale == WHOLE for scale in self.scales], np.bool_)[self.scale_N]

    @cached_property
    def moment_N(self) -> Bool:
        """Rows that are moments: windows, or the whole of a video without windows."""
        has_windows_V = np.zeros(len(self.duration_s_V), np.bool_)
        has_windows_V[self.video_N[~self.whole_N]] = True
        return ~self.whole_N | ~has_windows_V[self.video_N]

    @cached_property
    def place_of(self) -> dict[str, int]:
        """Index of each path."""
        return {path: place for place, path in enumerate(self.paths)}

    def rows_of(self, video: int) -> range:
        """A video's clips."""
        first, after = self.video_N.searchsorted([video, video + 1])
        return range(int(first), int(after))

    def paths_of(self, video: int) -> range:
        """Indices of a video's paths: one, or several for copies of the same content."""
        first, after = self.path_video_P.searchsorted([video, video + 1])
        return range(int(first), int(after))

    def clips_of(self, video: int) -> ClipEmbeddings:
        """A video's vectors as they were made: the whole, then windows by start."""
        rows = np.array(self.rows_of(video), np.int64)
        whole = np.array([self.scales[scale] == WHOLE for scale in self.scale_N[rows]])
        rows = rows[np.lexsort((self.end_s_N[rows], self.start_s_N[rows], ~whole))]
        thought = bool((self.steps_N[rows] > 0).all())
        return ClipEmbeddings(
            spans=tuple(Span(float(self.start_s_N[n]), float(self.end_s_N[n])) for n in rows),
            scales=tuple(self.scales[self.scale_N[n]] for n in rows),
            vectors_ND=np.array(self.vectors_ND[rows]),
            steps=tuple(int(self.steps_N[n]) for n in rows) if thought else (),
            reasons=tuple(self.reasons[self.reason_N[n]] for n in rows) if thought else (),
        )


def build_catalog(clips: ClipTable, files: Sequence[FileRow]) -> Catalog:
    """Columns of a snapshot; clips come ordered by video, so videos do too."""
    videos = {video_id: i for i, video_id in enumerate(dict.fromkeys(clips.video_ids))}
    scales = {scale: i for i, scale in enumerate(dict.fromkeys(clips.scales))}
    reasons = {reason: i for i, reason in enumerate(dict.fromkeys(clips.reasons))}
    seen = [row for row in files if row.state == "indexed" and row.video_id in videos]
    seen.sort(key=lambda row: (videos[row.video_id], row.path))
    video_N = np.array([videos[video_id] for video_id in clips.video_ids], np.int64)
    duration_s_V = np.zeros(len(videos))
    np.maximum.at(duration_s_V, video_N, clips.end_s_N)
    wholes = np.flatnonzero([scale == WHOLE for scale in clips.scales])
    total_D = np.zeros(clips.vectors_ND.shape[1])
    for piece in pieces(clips.vectors_ND, wholes):
        total_D += piece.sum(axis=0, dtype=np.float64)
    return Catalog(
        vectors_ND=clips.vectors_ND,
        video_N=video_N,
        scale_N=np.array([scales[scale] for scale in clips.scales], np.int64),
        start_s_N=clips.start_s_N,
        end_s_N=clips.end_s_N,
        duration_s_V=duration_s_V,
        whole_mean_D=total_D / max(1, len(wholes)),
        path_video_P=np.array([videos[row.video_id] for row in seen], np.int64),
        mtime_s_P=np.array([row.mtime_ns / 1e9 for row in seen], np.float64),
        paths=tuple(row.path for row in seen),
        scales=tuple(scales),
        steps_N=clips.steps_N,
        reason_N=np.array([reasons[reason] for reason in clips.reasons], np.int64),
        reasons=tuple(reasons),
    )
