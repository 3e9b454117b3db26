"""When it happens, on the generated world's test split: spans from windows, refined and not.

    python -m recipes.moments [MODEL] [--limit N]

Every text of a moment looks for its span in its own video, where there are two moments or more.
Windows of a few frames are embedded alone; their length is chosen on the validation split, by
R1@0.5. MODEL is `mini`, a folder with it, or a stage of its training. A limited run is printed and
not saved.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kinoscope.backbones.mini import SAMPLING, untrained_mini
from kinoscope.backbones.mllm import MLLM
from kinoscope.evaluation.metrics import mean_with_interval
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.evaluation.world.moments import (
    Query,
    localisation,
    median_length_s,
    queries_of,
)
from kinoscope.evaluation.world.table import World
from kinoscope.evaluation.world.vectors import embed_clips, embed_texts
from kinoscope.evaluation.world.videos import WorldVideos
from kinoscope.mini_weights import mini_files
from kinoscope.moments import Embed, locate
from kinoscope.sampling import WHOLE, frames_in
from kinoscope.types import ClipEmbeddings, Features, Float32, Float64, Span
from recipes.arguments import at_least
from recipes.measuring import OPTIONS, features_of, load_model, seen_by, show, told_of
from recipes.mini import LAYERS

LENGTHS = (2, 4, 8)
"""Frames of the windows that are tried: 1, 2 and 4 s."""

ASKED = 3
"""Moments of a video, of which the first counts."""


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """Queries by video, with the windows of each video and the vector of each text."""

    queries: Mapping[int, Sequence[Query]]
    windows: Mapping[int, ClipEmbeddings]
    texts: Mapping[int, Float32]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures the model and its untrained beginning, and saves `results/moments.json`."""
    parser = argparse.ArgumentParser(prog="python -m recipes.moments")
    parser.add_argument("model", nargs="?", default="mini")
    parser.add_argument("--limit", type=at_least(8), help="test videos, of 1000")
    asked = parser.parse_args(arguments)
    world = World(count=asked.limit or World().count)
    if asked.limit:
        world = replace(world, chosen_on=max(8, asked.limit // 4))
    model = load_model(asked.model)
    untrained = untrained_mini(mini_files(), layers=LAYERS, options=OPTIONS)
    metrics, details = measured(model, world)
    control, chosen = measured(untrained, world)
    metrics["untrained_r1_05"] = control["r1_05"]
    details |= {"untrained": chosen, "model": told_of(asked.model, model)}
    show("", metrics, details)
    if asked.limit:
        print("part of a run: not saved")
        return
    save_result("moments", metrics, details=details)


def measured(model: MLLM, world: World) -> tuple[dict[str, Metric], dict[str, object]]:
    """Recall, mean IoU and the answers that look at nothing; R1@0.5 with the refined order."""
    see = seen_by(features_of(model))
    length, tried = chosen_length(model, see(world.validation(world.chosen_on)))
    videos = see(world.test()).first(world.count)
    found = embedded(model, videos, length)
    asked = [query for several in found.queries.values() for query in several]
    prior_s = median_length_s(queries_of(world.validation(world.count).example(n)
                                         for n in range(world.count)))  # fmt: skip
    figures = localisation(first_ious(found), asked, prior_s)
    names = {
        **{f"moments_{name}": name for name in ("r1_03", "r1_05", "r1_07", "miou")},
        "moments_whole_video": "whole_video_r1_05",
        "moments_centre_prior": "centre_prior_r1_05",
    }
    metrics = {new: figures[old].metric for old, new in names.items()}
    better_Q = first_ious(found, model, videos)
    right_Q = (better_Q >= 0.5).astype(np.float64)
    metrics["refined_r1_05"] = mean_with_interval(right_Q, [query.key for query in asked])
    details: dict[str, object] = {
        "videos": len(found.queries),
        "window_s": length / SAMPLING.fps,
        "validation_r1_05": tried,
        "refined_miou": round(float(better_Q.mean()), 4),
        "prior_s": prior_s,
    }
    return metrics, details


def chosen_length(model: MLLM, videos: WorldVideos) -> tuple[int, dict[str, float]]:
    """The window with the best R1@0.5, of equals the shortest; and what each came to."""
    figures = {
        length: float((first_ious(embedded(model, videos, length)) >= 0.5).mean())
        for length in LENGTHS
    }
    told = {f"{length / SAMPLING.fps:g} s": round(value, 4) for length, value in figures.items()}
    return max(figures, key=lambda length: (figures[length], -length)), told


def embedded(model: MLLM, videos: WorldVideos, length: int) -> Embedded:
    """Windows of so many frames, a frame apart, of the videos that are asked about."""
    queries = queries_of(videos.examples())
    rows: list[tuple[int, Span, str]] = []
    clips: list[Features] = []
    for number, several in queries.items():
        clip, end_s = videos.clip(number), several[0].duration_s
        rows.append((number, Span(0.0, end_s), WHOLE))
        clips.append(clip)
        for first in range(max(1, len(clip) - length + 1)):
            begin_s, behind_s = (k / SAMPLING.fps for k in (first, first + length))
            rows.append((number, Span(begin_s, min(behind_s, end_s)), f"{length} frames"))
            clips.append(clip.take(range(first, min(first + length, len(clip)))))
    vectors_ND = embed_clips(model, clips)
    texts_QD = embed_texts(model, (q.text for several in queries.values() for q in several))
    edges = np.cumsum([len(several) for several in queries.values()])[:-1]
    return Embedded(
        queries=queries,
        windows={number: _of(number, rows, vectors_ND) for number in queries},
        texts=dict(zip(queries, np.split(texts_QD, edges), strict=True)),
    )


def _of(number: int, rows: Sequence[tuple[int, Span, str]], vectors_ND: Float32) -> ClipEmbeddings:
    own = [place for place, row in enumerate(rows) if row[0] == number]
    return ClipEmbeddings(
        spans=tuple(rows[place][1] for place in own),
        scales=tuple(rows[place][2] for place in own),
        vectors_ND=vectors_ND[own],
    )


def first_ious(
    found: Embedded, model: MLLM | None = None, videos: WorldVideos | None = None
) -> Float64:
    """IoU of each query's first moment with its true span [Q]; refined where a model is given."""
    ious = []
    for number, several in found.queries.items():
        embed = None if model is None or videos is None else pieces_of(model, videos.clip(number))
        for query, text_D in zip(several, found.texts[number], strict=True):
            located = locate(found.windows[number], text_D, k=ASKED, embed=embed)
            ious.append(located.moments[0].span.iou(query.span))
    return np.array(ious)


def pieces_of(model: MLLM, clip: Features) -> Embed:
    """Embeds stretches of one video by the frames that are in them."""
    return lambda spans: embed_clips(
        model, (clip.take(frames_in(span, clip.times_F)) for span in spans)
    )


if __name__ == "__main__":
    main()
