"""Heads that turn any number of thoughts into one unit vector: KV-Former, the mean, the last."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from kinoscope.errors import UsageError


class Pooling(nn.Module):  # type: ignore[misc]  # PyTorch is not followed by mypy
    """z_k = unit(mean(y_1..y_k)), where `values` makes y of each thought by itself.

    With `mean` false z_k = unit(y_k). What stands behind a row's last thought never counts, be it
    NaN. Computed in float32, also under autocast.
    """

    name = "mean"
    mean = True

    def values(self, states_BKD: Any) -> Any:
        """y of each thought, [..., D] -> [..., D]; the thought itself here."""
        return states_BKD

    def forward(self, states_BKD: Any, mask_BK: Any = None) -> Any:
        """Unit vectors [B, D] of thoughts; `mask_BK` is true where one is real.

        Real ones come first in each row, at least one.
        """
        mask_BK = _checked(states_BKD, mask_BK)
        values_BKD = self._masked_values(states_BKD, mask_BK)
        counts_B1 = mask_BK.sum(dim=1, keepdim=True)
        if self.mean:
            return unit(values_BKD.sum(dim=1) / counts_B1)
        rows_B = torch.arange(len(mask_BK), device=mask_BK.device)
        return unit(values_BKD[rows_B, counts_B1[:, 0] - 1])

    def prefixes(self, states_BKD: Any, mask_BK: Any = None) -> Any:
        """What `forward` gives of the first 1, 2, .. K thoughts: unit vectors [B, K, D].

        Behind a row's last thought its vector stays the same.
        """
        mask_BK = _checked(states_BKD, mask_BK)
        values_BKD = self._masked_values(states_BKD, mask_BK)
        counts_BK = mask_BK.cumsum(dim=1)
        if self.mean:
            return unit(values_BKD.cumsum(dim=1) / counts_BK[..., None])
        places_BK1 = (counts_BK - 1)[..., None].expand_as(values_BKD)
        return unit(values_BKD.gather(1, places_BK1))

    def _masked_values(self, states_BKD: Any, mask_BK: Any) -> Any:
        with torch.autocast(states_BKD.device.type, enabled=False):
            hidden_BK1 = ~mask_BK[..., None]
            values_BKD = self.values(states_BKD.float().masked_fill(hidden_BK1, 0.0))
            return values_BKD.masked_fill(hidden_BK1, 0.0)


class MeanPooling(Pooling):
    """The mean of all thoughts, nothing learned."""


class LastPooling(Pooling):
    """The last thought, nothing learned."""

    name = "last"
    mean = False


class KVFormer(Pooling):
    """y = h + MLP(norm h), h = g + attention of g over P learned keys and values; then the mean.

    The latent attention of NV-Embed (arXiv 2405.17428, 3.1), used as ViLL-E's head (arXiv
    2604.12148): thoughts are the queries, keys and values a dictionary of their own. Both residual
    branches end in a map that is zero at first: before training it is the mean of all thoughts, and
    the last token's vector if there is only one.
    """

    name = "kv-former"

    def __init__(
        self, size: int, *, slots: int = 32, heads: int = 8, hidden: int | None = None
    ) -> None:
        """`size` is D of the thoughts, `slots` P, `hidden` the width of the MLP (D by default).

        Raises `UsageError` unless all are positive and D is a multiple of `heads`.
        """
        super().__init__()
        hidden = size if hidden is None else hidden
        for name, value in (("slots", slots), ("heads", heads), ("hidden", hidden)):
            if value < 1:
                raise UsageError(f"KV-Former {name} {value}: give at least 1")
        if size % heads:
            raise UsageError(f"KV-Former heads {heads}: {size} is no multiple of it")
        self.size, self.slots, self.heads, self.hidden = size, slots, heads, hidden
        self.attention_norm = nn.LayerNorm(size)
        self.query = nn.Linear(size, size, bias=False)
        self.keys = nn.Parameter(torch.randn(slots, size))
        self.slot_values = nn.Parameter(torch.randn(slots, size))
        self.attention_out = nn.Linear(size, size)
        self.mlp_norm = nn.LayerNorm(size)
        self.enter = nn.Linear(size, hidden)
        self.leave = nn.Linear(hidden, size)
        for last in (self.attention_out, self.leave):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def values(self, states_BKD: Any) -> Any:
        """See the class."""
        queries = self._split(self.query(self.attention_norm(states_BKD)))
        keys, slot_values = self._split(self.keys), self._split(self.slot_values)
        found = functional.scaled_dot_product_attention(queries, keys, slot_values)
        attended = found.transpose(-3, -2).flatten(-2).view_as(states_BKD)
        h = states_BKD + self.attention_out(attended)
        return h + self.leave(functional.gelu(self.enter(self.mlp_norm(h))))

    def _split(self, rows: Any) -> Any:
        """Rows [..., D] as those of each head [1, H, N, D / H], N being all rows."""
        return rows.reshape(1, -1, self.heads, self.size // self.heads).transpose(1, 2)


def unit(vectors: Any) -> Any:
    """Of unit length along the last axis, in float32."""
    return functional.normalize(vectors.float(), dim=-1)


def pooling_named(name: str) -> Pooling:
    """`last` or `mean`; raises `UsageError` for another name."""
    known = {kind.name: kind for kind in (MeanPooling, LastPooling)}
    if name not in known:
        raise UsageError(f"pooling {name!r}: choose {' or '.join(known)}, or give a KVFormer")
    return known[name]()


def _checked(states_BKD: Any, mask_BK: Any) -> Any:
    if mask_BK is None:
        mask_BK = states_BKD.new_ones(states_BKD.shape[:2], dtype=torch.bool)
    assert mask_BK.dtype == torch.bool, mask_BK.dtype
    assert mask_BK.shape == states_BKD.shape[:2], (mask_BK.shape, states_BKD.shape)
    assert bool(mask_BK[:, 0].all()), "a row without a first thought"
    assert not bool((mask_BK[:, 1:] & ~mask_BK[:, :-1]).any()), "a gap between thoughts"
    return mask_BK
