"""Prompts that share a clip: what they have in common is read once.

A bundle of prompts is one row of the decoder: their common beginning with all pixels, then the rest
of each, a branch. A token sees the beginning and what stands before it in its own branch, and its
position goes on from the beginning. So its state is that of the prompt read alone.

Callers see rows as ever: tokens [N, T] with their mask and labels, and states [N, T, D].
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kinoscope.backbones.family import TOKEN_PADDING, Batch
from kinoscope.libraries import torch
from kinoscope.types import Content

MOST_TOKENS = 512
"""Of a bundle of several prompts: attention grows with the square of its length."""

PLACES, BRANCHES = "places", "branches"
"""Keys of a batch of bundles: where each token of its rows stands among those that are read, [N, T]
into [B * T]; and the branch of each token that is read [B, T]: `_COMMON`, 1.., `_PADDING`."""

_COMMON, _PADDING = 0, -1


@dataclass(frozen=True, eq=False, kw_only=True)
class Bundle:
    """Prepared prompts [1, T] that are read as one row; the first `common` tokens are all theirs.

    `numbers` says which they are. Only the first has pixels, which are those of all.
    """

    numbers: list[int]
    rows: list[Batch]
    common: int

    def __len__(self) -> int:
        """Tokens that are read."""
        return self.common + sum(_length(row) - self.common for row in self.rows)


def same_clip(content: Content) -> Hashable:
    """Equal for contents that show the same object; a text shares nothing."""
    return id(content) if content.clip is None else (id(content.clip), content.still)


def same_prompt(content: Content) -> Hashable:
    """Equal for contents of the same clip that say the same."""
    return id(content.clip), content.still, content.text, content.role


def bundled(
    numbers: Sequence[int], rows: Sequence[Batch], pixel_ids: Sequence[int], most: int
) -> Iterator[Bundle]:
    """Prompts on one clip as bundles of at most `most` tokens; a longer prompt goes alone.

    Each goes alone where a token of pixels is not common to all: its pixels are not read twice.
    """
    common = _common(rows)
    if any(bool(_is_pixel(row["input_ids"][0, common:], pixel_ids).any()) for row in rows):
        for number, row in zip(numbers, rows, strict=True):
            yield Bundle(numbers=[number], rows=[row], common=_length(row))
        return
    first, length = 0, common
    for place, row in enumerate(rows):
        own = _length(row) - common
        if place > first and length + own > most:
            yield _bundle(numbers[first:place], rows[first:place])
            first, length = place, common
        length += own
    yield _bundle(numbers[first:], rows[first:])


def longest_first(bundles: Iterable[Bundle]) -> list[Bundle]:
    """So that neighbours need little padding, see `by_length`."""
    return sorted(bundles, key=lambda bundle: -len(bundle))


def joined(bundles: Sequence[Bundle], join: Callable[[list[Batch]], Batch]) -> Batch:
    """One padded batch of the rows of all bundles, with the pixels of each bundle once.

    `join` makes a batch of rows, see `Family`. Where no bundle has several rows, that is all.
    """
    rows = [row for bundle in bundles for row in bundle.rows]
    batch = join(rows)
    if len(rows) == len(bundles):
        return batch
    longest = max(map(len, bundles))
    branches_BT = torch().full((len(bundles), longest), _PADDING)
    places = []
    for number, bundle in enumerate(bundles):
        branches_BT[number, : bundle.common] = _COMMON
        end = bundle.common
        for branch, row in enumerate(bundle.rows, start=1):
            start, end = end, end + _length(row) - bundle.common
            branches_BT[number, start:end] = branch
            places += [number * longest + t for t in (*range(bundle.common), *range(start, end))]
    places_NT = torch().zeros_like(batch["input_ids"])
    places_NT[batch["attention_mask"].bool()] = torch().tensor(places)
    return batch | {PLACES: places_NT, BRANCHES: branches_BT}


def as_read(batch: Batch, pad_id: int) -> Batch:
    """What the model reads, of a batch with `position_ids`: its own rows, or its bundles.

    The mask of bundles is true where a token [B, 1, T, :] sees another. Padding sees itself at
    least, and nothing sees padding.
    """
    if PLACES not in batch:
        return batch
    branches_BT, real_NT = batch[BRANCHES], batch["attention_mask"].bool()
    places = batch[PLACES][real_NT]

    def laid(values_NT: Any, fill: int) -> Any:
        values = values_NT.new_full((branches_BT.numel(),), fill)
        values[places] = values_NT[real_NT]  # what is common is written by each, the same
        return values.view(branches_BT.shape)

    keys_B1T, order_T = branches_BT[:, None], torch().arange(branches_BT.shape[1])
    seen_BTT = (keys_B1T == _COMMON) | (keys_B1T == branches_BT[..., None])
    before_TT = (order_T[None] <= order_T[:, None]).to(branches_BT.device)
    return {key: value for key, value in batch.items() if key not in (PLACES, BRANCHES)} | {
        "input_ids": laid(batch["input_ids"], pad_id),
        "position_ids": laid(batch["position_ids"], 0),
        "attention_mask": (seen_BTT & before_TT)[:, None],
    }


def of_rows(states_BTD: Any, batch: Batch) -> Any:
    """States of the tokens of a batch's own rows [N, T, D], of what was read; with gradient."""
    if PLACES not in batch:
        return states_BTD
    places_NT = batch[PLACES]
    found = states_BTD.flatten(0, 1).index_select(0, places_NT.flatten())
    return found.view(*places_NT.shape, -1)


def _bundle(numbers: Sequence[int], rows: Sequence[Batch]) -> Bundle:
    """With all that these rows have in common, which may be more than among others."""
    tokens = [{key: row[key] for key in row if _of_tokens(key)} for row in rows[1:]]
    return Bundle(numbers=list(numbers), rows=[rows[0], *tokens], common=_common(rows))


def _common(rows: Sequence[Batch]) -> int:
    """Length of the longest beginning that all have."""
    first, *others = (row["input_ids"][0].tolist() for row in rows)
    length = len(first)
    for other in others:
        pairs = zip(first[:length], other, strict=False)
        length = next((n for n, (a, b) in enumerate(pairs) if a != b), min(length, len(other)))
    return length


def _length(row: Batch) -> int:
    return int(row["input_ids"].shape[1])


def _is_pixel(ids_T: Any, pixel_ids: Sequence[int]) -> Any:
    return torch().isin(ids_T, torch().tensor(list(pixel_ids), dtype=ids_T.dtype))


def _of_tokens(key: str) -> bool:
    return key == "input_ids" or key in TOKEN_PADDING
