"""What thinking costs: a contrast of each step, and when a model should have stopped.

With l_k of an item the two-way InfoNCE of its vector after step k, L_k the batch's mean of it, and
p_k the chance that thinking stops at step k:

    sum_k p_k l_k + rho mean_k L_k + gamma mean_k relu(log L_(k+1) - log L_k) + beta KL(p || prior)

The first is PonderNet's expected loss, the last its prior (arXiv 2107.05407, section 2.3). The
second keeps each prefix of the thoughts usable, also where halting collapses onto one step; the
third wants no step to make things worse.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch

from kinoscope.errors import UsageError
from kinoscope.training.gather import Rows, gathered
from kinoscope.training.losses import two_way

THINKING_TERMS = ("ponder", "stepwise", "monotone", "prior", "gain")

_LEAST_LOSS = 1e-6  # of a batch that is told apart perfectly: its log would be -inf
_BISECTIONS = 200


@dataclass(frozen=True, kw_only=True)
class ThinkingLossConfig:
    """What the terms of thinking weigh, and how long it should take.

    Attributes:
        rho: of the plain mean over steps, `stepwise`.
        gamma: of steps that make the batch's loss larger, `monotone`.
        beta: of the distance from the prior, `prior`.
        target_steps: mean of the prior, the budget: more than 1, and at most (K + 1) / 2 of K
            steps, where it is uniform.
        gain: of the cross-entropy of each chance to stop with whether to, `gain`.
        margin: a next step that lowers l_k by no more is no reason to go on.
        held: share of the run, from its start, in which halting is off: all steps then weigh the
            same, and there is no prior or `gain`.
    """

    rho: float = 0.3
    gamma: float = 0.1
    beta: float = 0.01
    target_steps: float = 3.0
    held: float = 0.2
    gain: float = 0.0
    margin: float = 0.02

    def __post_init__(self) -> None:
        good = {
            "rho": 0 <= self.rho < math.inf,
            "gamma": 0 <= self.gamma < math.inf,
            "beta": 0 <= self.beta < math.inf,
            "target_steps": 1 < self.target_steps < math.inf,
            "held": 0 <= self.held <= 1,
            "gain": 0 <= self.gain < math.inf,
            "margin": math.isfinite(self.margin),
        }
        for name, fits in good.items():
            if not fits:
                raise UsageError(
                    f"{name} {getattr(self, name)!r} is out of range: see ThinkingLossConfig"
                )

    @property
    def weights(self) -> Mapping[str, float]:
        """Of the terms, beside that of the contrast that they stand for."""
        factors = (1.0, self.rho, self.gamma, self.beta, self.gain)
        return dict(zip(THINKING_TERMS, factors, strict=True))

    def halts(self, step: int, steps: int) -> bool:
        """Whether halting is on in a step of a run, counted from 1."""
        return step > self.held * steps


@dataclass(frozen=True, eq=False)
class Steps:
    """Unit vectors of one process's items after each step, among those of all processes."""

    own_BKD: Any
    all_NKD: Any
    first: int = 0

    def __len__(self) -> int:
        return int(self.own_BKD.shape[1])

    def __repr__(self) -> str:
        own, everywhere = list(self.own_BKD.shape), list(self.all_NKD.shape)
        return f"Steps({own} of {everywhere} from {self.first})"

    def at(self, step: int) -> Rows:
        """The vectors after one step; -1 is the last."""
        return Rows(self.own_BKD[:, step], self.all_NKD[:, step], self.first)


def gathered_steps(vectors_BKD: Any) -> Steps:
    """Vectors of all processes, with gradient as `gathered`; one of K = 1 is a plain vector."""
    count, width = vectors_BKD.shape[1:]
    rows = gathered(vectors_BKD.flatten(1))
    return Steps(vectors_BKD, rows.all_ND.unflatten(1, (count, width)), rows.first)


def stepwise_contrast(
    video: Steps,
    text: Steps,
    *,
    side: Literal["video", "text"],
    temperature: Any,
    hard_text: Any = None,
    same_BN: Any = None,
) -> Any:
    """`two_way` after each step of one side, against the other's last vectors: l_BK.

    Args:
        video: of the items.
        text: likewise, text i belonging to video i.
        side: whose steps are looked at.
        temperature: see `two_way`, as `hard_text` and `same_BN`.
    """
    found = []
    for step in range(len(video if side == "video" else text)):
        both = two_way(
            video.at(step if side == "video" else -1),
            text.at(step if side == "text" else -1),
            temperature=temperature,
            hard_text=hard_text,
            same_BN=same_BN,
        )
        found.append(both.rows_B)
    return torch.stack(found, dim=1)


def truncated_geometric(chance: float, count: int) -> Any:
    """The prior [K]: p_k = chance (1 - chance)^(k-1), scaled so that its K steps sum to 1.

    A chance of 0 is the limit, all steps alike.
    """
    assert 0 <= chance < 1 and count >= 1, (chance, count)
    logs_K = torch.arange(count, dtype=torch.float64) * math.log1p(-chance)
    return logs_K.softmax(0)  # the factor `chance` cancels


def mean_steps(p_BK: Any) -> Any:
    """Mean of distributions over steps 1..K: [..., K] -> [...]."""
    places_K = torch.arange(1, p_BK.shape[-1] + 1, device=p_BK.device, dtype=p_BK.dtype)
    return (p_BK * places_K).sum(-1)


def prior_chance(target_steps: float, count: int) -> float:
    """The chance whose truncated geometric distribution over K steps has this mean.

    Raises `UsageError` for a mean that none has.
    """
    if not 1 < target_steps <= (count + 1) / 2:
        raise UsageError(
            f"target_steps {target_steps:g} of at most {count} steps: choose more than 1 and at"
            f" most {(count + 1) / 2:g}, or allow more steps"
        )
    low, high = 0.0, 1 - 2.0**-52  # the mean falls from (K + 1) / 2 to 1
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if float(mean_steps(truncated_geometric(middle, count))) > target_steps:
            low = middle
        else:
            high = middle
    return low


def from_prior(p_BK: Any, prior_K: Any) -> Any:
    """KL(p || prior) [B] = sum_k p_k (log p_k - log prior_k); a step of chance 0 adds nothing."""
    tiny = torch.finfo(p_BK.dtype).tiny
    logs_K = prior_K.to(p_BK).clamp(min=tiny).log()
    # the log of 0, times 0, would have no gradient
    return (p_BK * (p_BK.clamp(min=tiny).log() - logs_K)).sum(-1)


def when_to_stop(losses_BK: Any, p_BK: Any, margin: float) -> Any:
    """Cross-entropy [B] of the chance to stop at each step with whether the next gains too little.

    The mean over all steps but the last of it. Stopping is right where l_k - l_(k+1) <= margin;
    that itself gets no gradient.
    """
    left_BK = p_BK.flip(1).cumsum(1).flip(1)  # the chance to come as far
    tiny, edge = torch.finfo(p_BK.dtype).tiny, torch.finfo(p_BK.dtype).eps
    lambdas_BK = (p_BK / left_BK.clamp(min=tiny))[:, :-1].clamp(edge, 1 - edge)
    losses_BK = losses_BK.detach()
    stop_BK = (losses_BK[:, :-1] - losses_BK[:, 1:] <= margin).to(lambdas_BK.dtype)
    found_BK = -(stop_BK * lambdas_BK.log() + (1 - stop_BK) * (1 - lambdas_BK).log())
    return found_BK.mean(dim=1)


def thinking_terms(losses_BK: Any, p_BK: Any, config: ThinkingLossConfig) -> dict[str, Any]:
    """The terms, each a sum over the own items, whose mean is over the items of all processes.

    Args:
        losses_BK: l_k of each item.
        p_BK: chances that thinking stops at each step; None: halting is off, so that all steps
            weigh the same, and `prior` and `gain` are 0.
        config: whose `target_steps` the prior has.

    Raises `UsageError` for a target that no prior of so many steps has, unless `beta` is 0.
    """
    rows, count = losses_BK.shape
    weights_BK = torch.full_like(losses_BK, 1 / count) if p_BK is None else p_BK.to(losses_BK)
    terms = {
        "ponder": (weights_BK * losses_BK).sum(),
        "stepwise": losses_BK.mean(dim=1).sum(),
        "monotone": rows * _rises(gathered(losses_BK).all_ND),
        "prior": losses_BK.new_zeros(()),
        "gain": losses_BK.new_zeros(()),
    }
    if p_BK is not None and config.gain and count > 1:
        terms["gain"] = when_to_stop(losses_BK, weights_BK, config.margin).sum()
    if p_BK is not None and config.beta and count > 1:
        prior_K = truncated_geometric(prior_chance(config.target_steps, count), count)
        terms["prior"] = from_prior(weights_BK, prior_K.to(losses_BK.device)).sum()
    return terms


def _rises(losses_NK: Any) -> Any:
    """Mean over steps of how much the log of the batch's mean loss rises; 0 for one step."""
    logs_K = losses_NK.mean(dim=0).clamp(min=_LEAST_LOSS).log()
    rises = (logs_K[1:] - logs_K[:-1]).relu()
    return rises.sum() / max(1, len(rises))
