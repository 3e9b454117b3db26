"""Moments: a text looks for its windows in its own video, and for the clips that stand out."""

from collections.abc import Sequence

import numpy as np

from kinoscope.errors import MediaError, UsageError
from kinoscope.evaluation.metrics.checks import ROUNDING
from kinoscope.evaluation.metrics.moments import window_ious
from kinoscope.evaluation.tasks.encoding import Encoder
from kinoscope.evaluation.tasks.films import Films
from kinoscope.evaluation.tasks.moment_figures import Sought, Told, judged, told_windows
from kinoscope.evaluation.tasks.protocol import Film, Model, TaskResult
from kinoscope.types import ClipEmbeddings, Float32, Float64

CLIP_S = 2.0
"""Length of the clips whose saliency QVHighlights asks for."""
BLIND = {"whole_video": 1.0, "middle_third": 1 / 3}
"""Answers that look at nothing: a share of the video, in its middle."""


def localisation(asked: Sequence[Sought], found: Films, model: Model) -> TaskResult:
    """Ranks the windows that the embedder makes of each video by their cosines with the text.

    Beside it R1@0.5 of the answers that look at nothing.
    """
    if not asked:
        raise UsageError(f"no text has a window to look for: {found.problems.describe()}")
    encoder = Encoder(model)
    texts_QD = encoder.texts([each.text for each in asked])
    by_film: dict[Film, list[int]] = {}
    for number, each in enumerate(asked):
        by_film.setdefault(each.film, []).append(number)
    told: dict[str, Told] = {}
    guessed: dict[str, dict[str, Told]] = {name: {} for name in BLIND}
    for film, numbers in by_film.items():
        try:
            clips = model.encode_video(film.path)
        except MediaError as error:
            encoder.failed[film.id] = str(error)
            continue
        for number in numbers:
            each = asked[number]
            told[each.name] = _answer(clips, texts_QD[number], each)
            for name, part in BLIND.items():
                guessed[name][each.name] = _middle(clips.spans[0].end_s, part)
    kept = [each for each in asked if each.name in told]
    if not kept:
        reason = next(iter(encoder.failed.values()))
        raise UsageError(f"not one of {len(by_film)} videos can be read: {reason}")
    values = judged(kept, told)
    values |= {f"{name}_r1_050": judged(kept, each)["r1_050"] for name, each in guessed.items()}
    different = {(e.film, e.text, e.windows_G2.tobytes()) for e in kept}
    protocol = {
        "queries": len(kept),
        "asked_again": len(kept) - len(different),
        "windows": "those of the embedder's sampling, ranked by cosine; of equals the worst first",
        "true_windows": "R1 against the best one",
    }
    lost = found.rows_without_video + len(asked) - len(kept)
    return TaskResult(
        values=values,
        protocol=protocol,
        left_out=found.left_out(encoder, lost),
        rankings={"moments": told_windows(kept, told)},
    )


def _middle(end_s: float, part: float) -> Told:
    return Told(np.array([[end_s * (1 - part) / 2, end_s * (1 + part) / 2, 0.0]]), np.zeros(0))


def _answer(clips: ClipEmbeddings, text_D: Float32, asked: Sought) -> Told:
    rows = range(1, len(clips.spans)) if len(clips.spans) > 1 else range(1)
    cosines_P = clips.vectors_ND[list(rows)].astype(np.float64) @ text_D
    cosines_P = np.round(cosines_P / ROUNDING) * ROUNDING  # equal vectors score the same
    windows_P2 = np.array([[clips.spans[row].start_s, clips.spans[row].end_s] for row in rows])
    best_P = window_ious(windows_P2, asked.windows_G2).max(axis=1)
    order = np.lexsort((best_P, -cosines_P))
    ranked_P3 = np.column_stack([windows_P2, cosines_P])[order]
    count = 0 if asked.ratings_CA is None else len(asked.ratings_CA)
    return Told(ranked_P3, _saliency(windows_P2, cosines_P, count))


def _saliency(windows_P2: Float64, scores_P: Float64, count: int) -> Float64:
    """For each clip the mean score of windows that show it; below all where none does."""
    starts_C = CLIP_S * np.arange(count)
    shown_PC = (windows_P2[:, :1] < starts_C + CLIP_S) & (windows_P2[:, 1:] > starts_C)
    sums_C = scores_P @ shown_PC
    return np.where(shown_PC.any(axis=0), sums_C / np.maximum(1, shown_PC.sum(axis=0)), -1.0)
