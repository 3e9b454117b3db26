"""Whether a model that stops thinking by itself stops where it should: four proofs, all by numbers.

One pass in which every video takes all steps gives the vectors of every rule: who stops after step
k has the vector of the first k thoughts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from kinoscope.evaluation.metrics import mean_with_interval, paired_p_value, recall_at, spearman
from kinoscope.evaluation.metrics.intervals import redrawn
from kinoscope.evaluation.results import Metric
from kinoscope.evaluation.world.retrieval import own_ranks
from kinoscope.thinking.halting import stops_B
from kinoscope.training.gather import alone
from kinoscope.training.losses import two_way
from kinoscope.types import Float32, Float64, Int64

_SHUFFLES = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class Gallery:
    """Texts, and videos after each of K steps: text i is of video i.

    Attributes:
        texts_VD: unit vectors.
        videos_VKD: unit vectors of the first k thoughts of each video.
        keys: names of the videos.
    """

    texts_VD: Float32
    videos_VKD: Float32
    keys: Sequence[str]

    def __post_init__(self) -> None:
        count, _, width = self.videos_VKD.shape
        assert self.texts_VD.shape == (count, width) and len(self.keys) == count, self

    def __repr__(self) -> str:
        return f"Gallery({list(self.videos_VKD.shape)})"

    @property
    def count(self) -> int:
        """K."""
        return int(self.videos_VKD.shape[1])

    def found(self, steps_V: Int64) -> Float64:
        """1.0 for each text that finds its video first, videos stopping after these steps [V]."""
        assert ((steps_V >= 1) & (steps_V <= self.count)).all(), steps_V
        videos_VD = self.videos_VKD[np.arange(len(steps_V)), steps_V - 1]
        return recall_at(1, own_ranks(self.texts_VD, videos_VD))

    def fixed(self, steps: int) -> Float64:
        """The same with as many steps for all videos."""
        return self.found(np.full(len(self.keys), steps))

    def at_mean(self, steps: float) -> Float64:
        """Between the two nearest fixed numbers of steps, in proportion [V]."""
        low = min(int(steps), self.count)
        share = steps - low
        return self.fixed(low) if not share else self._between(low, share)

    def _between(self, low: int, share: float) -> Float64:
        return (1 - share) * self.fixed(low) + share * self.fixed(low + 1)

    def metric(self, values_V: Float64) -> Metric:
        """Their mean with its interval."""
        return mean_with_interval(values_V, self.keys)


def halted(halting_VK: Float32, threshold: float) -> Int64:
    """The first step at which chances to stop add up to the threshold [V]; K where none is."""
    found_V = stops_B(torch.from_numpy(halting_VK).double(), threshold)
    return np.asarray(found_V.numpy(), np.int64)


def converged(curve_VK: Float32, epsilon: float) -> Int64:
    """The first step that turns the vector by less than `epsilon` [V]; K where none does.

    `curve_VK` has the cosine with the vector before; the first step, which has none, never counts.
    """
    reached_VK = 1 - np.nan_to_num(curve_VK.astype(np.float64), nan=-1.0) < epsilon
    reached_VK[:, -1] = True
    return np.asarray(reached_VK.argmax(axis=1) + 1, np.int64)


@dataclass(frozen=True, kw_only=True)
class Point:
    """One setting of a rule against a fixed number of steps at equal mean steps.

    Attributes:
        value: of the rule's threshold.
        mean_steps: over videos.
        r1: of the rule.
        fixed_r1: between the two nearest fixed numbers.
        p_value: of their difference, over the same texts.
    """

    value: float
    mean_steps: float
    r1: Metric
    fixed_r1: Metric
    p_value: float

    @property
    def apart(self) -> bool:
        """Whether the rule is above, and the intervals do not meet."""
        return self.r1.interval[0] > self.fixed_r1.interval[2]

    def told(self) -> dict[str, object]:
        """For a saved file."""
        ends = {"r1": self.r1, "fixed_r1": self.fixed_r1}
        return {
            "value": self.value,
            "mean_steps": self.mean_steps,
            **{name: list(metric.interval) for name, metric in ends.items()},
            "p_value": self.p_value,
            "apart": self.apart,
        }


def point(gallery: Gallery, steps_V: Int64, value: float) -> Point:
    """How a rule that stops each video there compares."""
    mean = float(steps_V.mean())
    own_V, fixed_V = gallery.found(steps_V), gallery.at_mean(mean)
    return Point(
        value=value,
        mean_steps=mean,
        r1=gallery.metric(own_V),
        fixed_r1=gallery.metric(fixed_V),
        p_value=paired_p_value(own_V, fixed_V),
    )


def shuffled(gallery: Gallery, steps_V: Int64, *, seed: int = 0) -> Float64:
    """What each text finds, on average, when videos stop where others should [V].

    The steps are the same numbers, dealt out anew to the videos.
    """
    random = np.random.default_rng(seed)
    dealt = [gallery.found(random.permutation(steps_V)) for _ in range(_SHUFFLES)]
    return np.asarray(np.mean(dealt, axis=0), np.float64)


def step_losses(gallery: Gallery, rows: slice, *, temperature: float) -> Float64:
    """Two-way InfoNCE [N, K] after each step of the videos of these rows, among one another."""
    text = alone(torch.from_numpy(gallery.texts_VD[rows]))
    videos_KVD = torch.from_numpy(gallery.videos_VKD[rows]).unbind(1)
    losses = [two_way(alone(v), text, temperature=temperature).rows_B for v in videos_KVD]
    return np.asarray(torch.stack(losses, dim=1).numpy(), np.float64)


def gains(gallery: Gallery, *, temperature: float) -> Float64:
    """l_1 - l_K [V]: by how much the last step lowers a video's two-way InfoNCE, among all."""
    losses_VK = step_losses(gallery, slice(None), temperature=temperature)
    return np.asarray(losses_VK[:, 0] - losses_VK[:, -1], np.float64)


def correlations(steps_V: Int64, others: Mapping[str, Float64]) -> dict[str, Metric]:
    """Spearman's of the steps with each of the others, with intervals."""
    names = list(others)

    def figures(rows_N: Int64) -> Float64:
        return np.array([spearman(steps_V[rows_N], others[name][rows_N]) for name in names])

    return redrawn(figures, len(steps_V)).metrics(names)
