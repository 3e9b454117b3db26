"""The learned decision to stop: a probability a step, and the distribution that they make.

After PonderNet (arXiv 2107.05407, 2): p_k = lambda_k prod_(j<k) (1 - lambda_j).
"""

import math
from typing import Any

import torch
from torch import nn

from kinoscope.errors import UsageError


class Halting(nn.Module):  # type: ignore[misc]  # PyTorch is not followed by mypy
    """lambda_k = sigmoid(u . [g_k ; g_k - g_(k-1)] + b), the difference being 0 at the first step.

    At first u is zero and lambda is `start` everywhere. Computed in float32, also under autocast.
    """

    def __init__(self, size: int, *, start: float = 1 / 3) -> None:
        """`size` is D of the thoughts; raises `UsageError` unless 0 < start < 1."""
        super().__init__()
        if not 0 < start < 1:
            raise UsageError(f"halting start {start}: choose a probability between 0 and 1")
        self.size = size
        self.weight = nn.Parameter(torch.zeros(2 * size))
        self.bias = nn.Parameter(torch.tensor(math.log(start / (1 - start))))

    def forward(self, states_BKD: Any) -> Any:
        """lambda of each step [B, K], in float32."""
        before_BKD = torch.cat([states_BKD[:, :1], states_BKD[:, :-1]], dim=1)
        return self.step(states_BKD, before_BKD)

    def step(self, states: Any, before: Any) -> Any:
        """lambda of thoughts [..., D] with those before them; at the first step itself -> [...]."""
        with torch.autocast(states.device.type, enabled=False):
            now, then = states.float(), before.float()
            return torch.sigmoid(torch.cat([now, now - then], dim=-1) @ self.weight + self.bias)


def p_BK(lambdas_BK: Any) -> Any:
    """The probability to halt at each step [B, K], of lambdas in 0..1; rows add up to 1.

    The last step takes the rest, whatever its lambda. A product, not a sum of logarithms: it is
    exact for lambdas of 0 and 1, and so is its gradient.
    """
    left_BK = left_before(lambdas_BK)
    return torch.cat([lambdas_BK[:, :-1] * left_BK[:, :-1], left_BK[:, -1:]], dim=1)


def left_before(lambdas_BK: Any) -> Any:
    """prod_(j<k) (1 - lambda_j): the probability [B, K] to come as far as step k."""
    ones_B1 = torch.ones_like(lambdas_BK[:, :1])
    return torch.cat([ones_B1, 1 - lambdas_BK[:, :-1]], dim=1).cumprod(dim=1)


def stops_B(p_BK: Any, threshold: float) -> Any:
    """The first step, from 1 on, up to which p adds up to `threshold` [B]; at the latest K."""
    reached_BK = p_BK.cumsum(dim=1) >= threshold
    reached_BK[:, -1] = True
    return reached_BK.int().argmax(dim=1) + 1
