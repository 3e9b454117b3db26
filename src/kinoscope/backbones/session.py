"""Prompts that a language model has read, and steps behind them: its KV cache, row by row."""

from collections.abc import Sequence
from typing import Any

from kinoscope.libraries import torch


class KVSession:
    """Rows of prompts with their cache; each step reads one more input embedding a row.

    What a row gives does not depend on the others: its positions go on from its own, and padding
    stays masked. Rows that are done leave with `keep`.
    """

    def __init__(
        self, decoder: Any, cache: Any, mask_BT: Any, position_ids: Any, last_BD: Any
    ) -> None:
        """`position_ids` are those of the prompt, [B, T] or [3, B, T]."""
        self._decoder, self._cache = decoder, cache
        self._mask_BT = mask_BT
        self._last_BD = last_BD
        # behind the last token, as in one pass: the axis of a video's time may have run further
        last_B = _last_places(mask_BT)
        self._next = position_ids[..., _all(last_B), last_B, None] + 1  # [B, 1] or [3, B, 1]

    def __len__(self) -> int:
        return len(self._mask_BT)

    @property
    def last_BD(self) -> Any:
        """The state after the last token that was read [B, D]."""
        return self._last_BD

    def step(self, inputs_BD: Any) -> Any:
        """Reads one input embedding a row [B, D]; returns the state after reading it [B, D]."""
        ones_B1 = self._mask_BT.new_ones((len(self), 1))
        self._mask_BT = torch().cat([self._mask_BT, ones_B1], dim=1)
        states_B1D = self._decoder(
            inputs_embeds=inputs_BD[:, None],
            attention_mask=self._mask_BT,
            position_ids=self._next,
            past_key_values=self._cache,
        )
        self._next = self._next + 1
        self._last_BD = states_B1D[:, -1]
        return self._last_BD

    def keep(self, rows: Sequence[int]) -> None:
        """Lets all other rows go, their cache included; the kept ones take this order."""
        index_B = torch().as_tensor(list(rows), device=self._mask_BT.device)
        self._cache.batch_select_indices(index_B)
        self._mask_BT = self._mask_BT[index_B]
        self._next = self._next.index_select(-2, index_B)
        self._last_BD = self._last_BD[index_B]


def last_states(states_BTD: Any, mask_BT: Any) -> Any:
    """The state of each row's last real token [B, D]; padding may stand on either side."""
    last_B = _last_places(mask_BT)
    return states_BTD[_all(last_B), last_B]


def mean_states(states_BTD: Any, mask_BT: Any) -> Any:
    """Means over real tokens [B, D], summed in float32."""
    mask_BT1 = mask_BT[..., None].float()
    return (states_BTD.float() * mask_BT1).sum(dim=1) / mask_BT1.sum(dim=1)


def _last_places(mask_BT: Any) -> Any:
    places_T = torch().arange(mask_BT.shape[1], device=mask_BT.device)
    return (places_T * mask_BT).argmax(dim=1)


def _all(last_B: Any) -> Any:
    return torch().arange(len(last_B), device=last_B.device)
