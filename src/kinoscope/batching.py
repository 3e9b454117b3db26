"""Which inputs go through a model together: runs that stay small when padded to the longest."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

SPARE_TOKENS = 64
"""So much padding costs less than another pass through a model, which reads all weights again."""


def by_length(lengths: Sequence[float]) -> list[int]:
    """Row numbers, longest first, so that neighbours need little padding: [3, 9, 5] -> [1, 2, 0].

    The longest come first because they need the most memory: if it does not suffice, the run ends
    at its start. Equal lengths keep their order.
    """
    return sorted(range(len(lengths)), key=lambda row: -lengths[row])


def packed(
    items: Iterable[T],
    size: Callable[[T], int],
    budget: int,
    key: Callable[[T], Hashable] = lambda _item: None,
) -> Iterator[list[T]]:
    """Neighbouring items in packs of at most `budget` padded tokens; a larger item goes alone.

    Padding is at most `SPARE_TOKENS` or a quarter of a pack, whichever is more: a film and its
    many windows would else all be as long as the film.

    Args:
        items: taken one by one, so that at most one pack and one item exist at a time.
        size: tokens of an item; a pack costs its longest item times its count.
        budget: most tokens of a pack, padding included.
        key: only items with equal keys share a pack.

    Sizes 5, 4, 4, 9 with a budget of 12 -> [5, 4], [4], [9].
    """
    pack: list[T] = []
    longest = real = 0
    for item in items:
        tokens = size(item)
        padded = max(longest, tokens) * (len(pack) + 1)
        loose = padded - (real + tokens) > max(SPARE_TOKENS, padded // 4)
        if pack and (padded > budget or loose or key(item) != key(pack[0])):
            yield pack
            pack, longest, real = [], 0, 0
        pack.append(item)
        longest, real = max(longest, tokens), real + tokens
    if pack:
        yield pack
