"""Moments that models told, as strips of frames with what is true and what was said under them."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kinoscope.errors import MediaError, UsageError
from kinoscope.evaluation.query_lists import read_lists
from kinoscope.evaluation.report.blocks import Picture, shown
from kinoscope.evaluation.report.gathered import Row
from kinoscope.evaluation.report.markup import element, span_bars
from kinoscope.evaluation.tasks.rankings import Rankings
from kinoscope.training.sources.folder import VideoFolder
from kinoscope.training.sources.problems import Unfit
from kinoscope.types import Float64, UInt8
from kinoscope.video import VideoReader

_FRAMES = 8
_SIDE_PX = 112
_GAP_PX = 4
_QUALITY = 70
_JUDGED = "miou"


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """A query, its video, true windows [G, 2] and told ones [P, 2] in seconds, best first."""

    query: str
    video: str
    text: str
    overlap: float
    true_G2: Float64
    told_P2: Float64

    @property
    def end_s(self) -> float:
        """Where the last window of any kind ends."""
        return float(max(self.true_G2.max(), self.told_P2.max(initial=0.0)))


def strips(rows: Sequence[Row], videos: Path) -> list[Picture | str]:
    """For each row of moments its best, its middle and its worst query by IoU of the first window.

    Videos are looked for by id below `videos`. One that is absent or unreadable is said so.
    """
    found: list[Picture | str] = []
    folder = VideoFolder(videos)
    for row in rows:
        if _JUDGED not in row.found.values:
            continue
        try:
            lists = read_lists(row.path).get("moments")
        except UsageError as error:
            found.append(f"No moments of {shown(row.label)} are shown: {shown(error)}")
            continue
        if lists is None or lists.spans_L2 is None:
            continue
        for place, example in examples(row, lists):
            found.append(_strip(f"{shown(row.label)}, {place}", example, folder))
    return found


def examples(row: Row, lists: Rankings) -> list[tuple[str, Example]]:
    """Best, middle and worst of the queries that have a true window above 0 s; each once."""
    assert lists.spans_L2 is not None
    values = row.found.values[_JUDGED]
    overlap_of = dict(zip(values.queries, values.values_Q.tolist(), strict=True))
    known = []
    for query, rows_K in lists.by_query():
        name, right_K = lists.queries[query], lists.right_L[rows_K]
        true_G2 = lists.spans_L2[rows_K[right_K]]
        if name in overlap_of and len(true_G2) and true_G2.max() > 0:
            known.append(
                Example(
                    query=name,
                    video=lists.items[lists.item_L[rows_K[0]]],
                    text=lists.texts[query] if lists.texts else name,
                    overlap=overlap_of[name],
                    true_G2=true_G2,
                    told_P2=lists.spans_L2[rows_K[~right_K]],
                )
            )
    known.sort(key=lambda each: (-each.overlap, each.query))
    places = {"best": 0, "middle": len(known) // 2, "worst": len(known) - 1}
    chosen: dict[int, str] = {}
    for name, place in places.items():
        if 0 <= place < len(known):
            chosen.setdefault(place, name)
    return [(name, known[place]) for place, name in chosen.items()]


def _strip(label: str, example: Example, folder: VideoFolder) -> Picture | str:
    said = (
        f"{label}: {shown(example.text)!r} in {shown(example.video)}, IoU {example.overlap:.2f};"
        f" true {_spans(example.true_G2)}; told {_spans(example.told_P2[:1])}"
    )
    try:
        path = folder.root / folder.find(example.video)
        pictures, times_F = frames_of(path, example.end_s)
    except (Unfit, MediaError) as error:
        return f"{said}; not shown: {shown(error)}"
    instants = ", ".join(f"{time_s:.1f}" for time_s in times_F)
    photo = element(
        "img", src=data_uri(pictures), alt=f"Frames of {shown(example.video)} at {instants} s",
        loading="lazy",
    )  # fmt: skip
    bars = [
        ("true", [(float(a), float(b)) for a, b in example.true_G2]),
        ("told first", [(float(a), float(b)) for a, b in example.told_P2[:1]]),
    ]
    drawn = span_bars(bars, example.end_s, f"true and told windows from 0 to {example.end_s:.1f} s")
    return Picture(element=element("div", photo, drawn, class_="chart"), caption=said)


def _spans(spans_N2: Float64) -> str:
    told = [f"{start_s:.1f} to {end_s:.1f} s" for start_s, end_s in spans_N2[:3]]
    return ", ".join(told) or "nothing"


def frames_of(path: Path, end_s: float) -> tuple[UInt8, Float64]:
    """`_FRAMES` frames side by side [H, W, 3], with white between them, in the middle of as many
    parts of [0, end_s), and their times [F]; fewer where the video ends before.

    Raises `MediaError`.
    """
    wanted = ((np.arange(_FRAMES) + 0.5) * end_s / _FRAMES).tolist()
    with VideoReader(path, side_px=_SIDE_PX) as reader:
        parts = list(reader.sample(wanted))
    rgb_FHWC = np.concatenate([part.rgb_FHWC for part in parts])
    apart_FHWC = np.pad(rgb_FHWC, ((0, 0), (0, 0), (0, _GAP_PX), (0, 0)), constant_values=255)
    return np.concatenate(list(apart_FHWC), axis=1)[:, :-_GAP_PX], np.concatenate(
        [p.times_F for p in parts]
    )


def data_uri(rgb_HWC: UInt8) -> str:
    """A small JPEG inside an address."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(rgb_HWC).save(stream, "JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
