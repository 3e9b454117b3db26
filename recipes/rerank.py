"""Whether a multimodal LLM's yes and no put the best hits in a better order, on the world.

    python -m recipes.rerank [MODEL] [--limit N] [--top K] [--to FILE]

Each test video's caption looks for it; the first K hits are matched and ranked anew. Prior,
temperature, fusion and threshold are chosen on the validation split, and written to FILE, for
`kinoscope search --rerank K --calibration FILE`. MODEL is `mini`, a folder with it, or a stage of
its training. A limited run is printed and not saved.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from kinoscope.backbones.mini import SAMPLING
from kinoscope.backbones.mllm import MLLM
from kinoscope.calibration import Calibration, best_threshold, fitted, fused, sigmoid
from kinoscope.embedder import Embedder
from kinoscope.evaluation.metrics import (
    calibration_error,
    mean_with_interval,
    paired_p_value,
    recall_at,
    reliability,
)
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.evaluation.world.table import World
from kinoscope.evaluation.world.vectors import embed_clips, embed_texts
from kinoscope.evaluation.world.videos import WorldVideos
from kinoscope.matcher import Matcher
from kinoscope.types import Bool, Float64, Int64
from recipes.arguments import at_least
from recipes.measuring import features_of, load_model, seen_by, show, told_of

TOP = 10
CHOSEN_ON = 400
"""Videos of the validation split."""
PRIORS = (0.0, 0.25, 0.5, 0.75, 1.0)
FUSIONS = tuple(round(0.1 * n, 1) for n in range(11))
_GROUP = 256  # pairs whose clips are in memory


@dataclass(frozen=True, eq=False, kw_only=True)
class Looked:
    """A caption's first hits by cosine, its own video among them, and what the model said.

    Attributes:
        cosines_P: falling; of equals the own video's is last.
        own_P: which hit is the own video.
        shown_P, prior_P: margins of yes with each video, and without any.
        first: of the hits that a search would have shown, before the own one was added.
    """

    cosines_P: Float64
    own_P: Bool
    shown_P: Float64
    prior_P: Float64
    first: int

    def odds_P(self, prior: float) -> Float64:
        """Log-odds with that share of the prior taken off."""
        return self.shown_P - prior * self.prior_P


def main(arguments: Sequence[str] | None = None) -> None:
    """Chooses on the validation split, measures on the test split, saves `results/rerank.json`."""
    asked = command("rerank").parse_args(arguments)
    model, known, tested = looked_at_both(asked)
    calibration = chosen(model, known, asked.top)
    metrics, details = measured(calibration, tested, asked.top)
    details |= {"calibration": asdict(calibration), "model": told_of(asked.model, model)}
    show("", metrics, details)
    if asked.to is not None:
        calibration.write(asked.to)
    if asked.limit:
        print("part of a run: not saved")
        return
    save_result("rerank", metrics, details=details)


def command(name: str) -> argparse.ArgumentParser:
    """The command line of this recipe and of `recipes.no_match`."""
    parser = argparse.ArgumentParser(prog=f"python -m recipes.{name}")
    parser.add_argument("model", nargs="?", default="mini")
    parser.add_argument("--limit", type=at_least(8), help="test videos, of 1000")
    parser.add_argument("--top", type=at_least(2), default=TOP, help="hits that are matched")
    parser.add_argument("--to", type=Path, help="where the calibration goes")
    return parser


def looked_at_both(asked: argparse.Namespace) -> tuple[MLLM, list[Looked], list[Looked]]:
    """The model, and what it said of the validation's and of the test's videos."""
    world = World(count=asked.limit or World().count)
    model = load_model(asked.model)
    see = seen_by(features_of(model))
    chosen_on = min(CHOSEN_ON, world.count)
    known = looked(model, see(world.validation(chosen_on)), asked.top)
    return model, known, looked(model, see(world.test()).first(world.count), asked.top)


def looked(model: MLLM, videos: WorldVideos, top: int) -> list[Looked]:
    """The first `top + 1` hits of each video's caption, and its own video, all matched."""
    texts = [example.captions[0] for example in videos.examples()]
    clips_ND = embed_clips(model, videos.clips()).astype(np.float64)
    cosines_QN = embed_texts(model, texts).astype(np.float64) @ clips_ND.T
    rows = [_rows(cosines_N, own, top + 1) for own, cosines_N in enumerate(cosines_QN)]
    pairs = [(int(row), query) for query, some in enumerate(rows) for row in some]
    shown, prior = _margins(model, videos, texts, pairs)
    found, first = [], 0
    for query, some in enumerate(rows):
        part = slice(first, first + len(some))
        found.append(
            Looked(
                cosines_P=cosines_QN[query, some],
                own_P=some == query,
                shown_P=shown[part],
                prior_P=prior[part],
                first=min(top + 1, len(texts)),
            )
        )
        first += len(some)
    return found


def _rows(cosines_N: Float64, own: int, count: int) -> Int64:
    order = np.lexsort((np.arange(len(cosines_N)) == own, -cosines_N))
    return order[:count] if own in order[:count] else np.append(order[:count], own)


def _margins(
    model: MLLM, videos: WorldVideos, texts: Sequence[str], pairs: Sequence[tuple[int, int]]
) -> tuple[Float64, Float64]:
    """With each pair's video and without [P]; pairs on one video are asked together."""
    matcher = Matcher(Embedder(model, sampling=SAMPLING))
    order = sorted(range(len(pairs)), key=lambda place: pairs[place])
    both = np.empty((2, len(pairs)))
    for group in _groups(order):
        clips = {row: videos.clip(row) for row in {pairs[place][0] for place in group}}
        asked = [pairs[place] for place in group]
        both[:, group] = matcher.margins(
            [clips[row] for row, _ in asked], [texts[query] for _, query in asked]
        )
    return both[0], both[1]


def _groups(places: Sequence[int]) -> Iterator[Sequence[int]]:
    return (places[first : first + _GROUP] for first in range(0, len(places), _GROUP))


def chosen(model: MLLM, known: Sequence[Looked], top: int) -> Calibration:
    """Prior by the least cross-entropy, fusion by R@1, threshold as `least_sure` has it."""
    fits_P = np.concatenate([each.own_P for each in known])
    tried = {}
    for prior in PRIORS:
        odds_P = np.concatenate([each.odds_P(prior) for each in known])
        temperature, shift = fitted(odds_P, fits_P)
        chances_P = np.clip(sigmoid((odds_P - shift) / temperature), 1e-9, 1 - 1e-9)
        right_P = np.where(fits_P, chances_P, 1 - chances_P)
        tried[prior] = (float(-np.log(right_P).mean()), temperature, shift)
    prior = min(tried, key=lambda each: tried[each][0])
    _, temperature, shift = tried[prior]
    found = Calibration(model=model.weights, prior=prior, temperature=temperature, shift=shift)
    recalls = {
        share: float((reranked_ranks(known, prior, share, top) <= 1).mean()) for share in FUSIONS
    }
    fusion = max(recalls, key=lambda share: (recalls[share], share))
    return replace(found, fusion=fusion, threshold=least_sure(by_match(found), known, top))


Sureness = Callable[[Looked, Bool], float]
"""How sure a system is of its best hit, among those that are shown."""


def by_match(calibration: Calibration) -> Sureness:
    """The probability of the most probable hit."""

    def sureness(each: Looked, shown_P: Bool) -> float:
        odds_P = each.odds_P(calibration.prior)[shown_P]
        return float(calibration.probabilities(odds_P).max())

    return sureness


def by_cosine(each: Looked, shown_P: Bool) -> float:
    """The cosine of the nearest hit."""
    return float(each.cosines_P[shown_P].max())


def least_sure(sureness: Sureness, known: Sequence[Looked], top: int) -> float:
    """From where on an answer is given: captions with their video and without are told apart."""
    there_Q, absent_Q = (sure(sureness, known, top, there=there) for there in (True, False))
    both_M = np.append(there_Q, absent_Q)
    return best_threshold(both_M, np.arange(len(both_M)) < len(there_Q))


def sure(sureness: Sureness, found: Sequence[Looked], top: int, *, there: bool) -> Float64:
    """Of each caption [Q], with its own video in the gallery or without."""
    return np.array([sureness(each, hits(each, top, there=there)) for each in found])


def hits(each: Looked, top: int, *, there: bool) -> Bool:
    """Which of the hits that were matched a search would show: the first `top` of its gallery."""
    shown_P = np.arange(len(each.own_P)) < each.first
    shown_P &= there | ~each.own_P
    return np.asarray(shown_P & (shown_P.cumsum() <= top))


def reranked_ranks(found: Sequence[Looked], prior: float, share: float, top: int) -> Int64:
    """From 1, of each own video among the first `top`, ranked anew; behind them as it was [Q]."""
    ranks = []
    for each in found:
        count = min(top, each.first)
        place = int(each.own_P.argmax())
        if place >= count:
            ranks.append(place + 1)
            continue
        worth_K = fused(each.cosines_P[:count], each.odds_P(prior)[:count], share)
        ranks.append(int((worth_K >= worth_K[place]).sum()))
    return np.array(ranks, np.int64)


def measured(
    calibration: Calibration, tested: Sequence[Looked], top: int
) -> tuple[dict[str, Metric], dict[str, object]]:
    """R@1 before and after, its ceiling, a p-value, and whether the probabilities come true."""
    keys = range(len(tested))
    before = reranked_ranks(tested, calibration.prior, 1.0, top)
    after = reranked_ranks(tested, calibration.prior, calibration.fusion, top)
    alone = reranked_ranks(tested, calibration.prior, 0.0, top)
    odds_P = np.concatenate([each.odds_P(calibration.prior) for each in tested])
    fits_P = np.concatenate([each.own_P for each in tested])
    chances_P = calibration.probabilities(odds_P)
    metrics = {
        "first_r1": mean_with_interval(recall_at(1, before), keys),
        "reranked_r1": mean_with_interval(recall_at(1, after), keys),
        "matching_alone_r1": mean_with_interval(recall_at(1, alone), keys),
        f"ceiling_r{top}": mean_with_interval(recall_at(top, before), keys),
        "p_value": Metric(
            value=paired_p_value(recall_at(1, after), recall_at(1, before)), n=len(tested)
        ),
        "calibration_error": Metric(value=calibration_error(chances_P, fits_P), n=len(fits_P)),
    }
    return metrics, {"gallery": len(tested), "reliability": list(reliability(chances_P, fits_P))}


if __name__ == "__main__":
    main()
