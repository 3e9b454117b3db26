"""Batches stay within their budget, lose nothing, and mix only what may be mixed."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.batching import SPARE_TOKENS, by_length, packed

SIZES = st.lists(st.integers(1, 50) | st.integers(1, 900), min_size=1)


def is_loose(pack):
    """Whether so much of it is padding that two passes are cheaper."""
    padded = max(pack) * len(pack)
    return padded - sum(pack) > max(SPARE_TOKENS, padded // 4)


@given(st.lists(st.integers(1, 50)), st.integers(1, 200))
def test_packs_keep_all_items_in_order_within_the_budget(sizes, budget):
    packs = list(packed(sizes, int, budget))
    assert [size for pack in packs for size in pack] == sizes
    for pack in packs:
        assert len(pack) == 1 or max(pack) * len(pack) <= budget


@given(SIZES, st.integers(1, 5000))
def test_no_pack_could_have_taken_the_next_item(sizes, budget):
    packs = list(packed(sizes, int, budget))
    for pack, after in pairwise(packs):
        larger = [*pack, after[0]]
        assert max(larger) * len(larger) > budget or is_loose(larger)


@given(SIZES, st.integers(1, 5000))
def test_little_of_a_pack_is_padding(sizes, budget):
    assert not any(map(is_loose, packed(sizes, int, budget)))


def test_a_film_does_not_stretch_its_windows():
    packs = list(packed([102, *[49] * 15], int, 4096))
    assert packs == [[102, 49], [49] * 14]


@given(st.lists(st.tuples(st.integers(1, 9), st.sampled_from("ab"))))
def test_items_of_two_keys_never_share_a_pack(items):
    packs = list(packed(items, lambda item: item[0], 30, key=lambda item: item[1]))
    assert [item for pack in packs for item in pack] == items
    assert all(len({key for _, key in pack}) == 1 for pack in packs)


@pytest.mark.parametrize(("lengths", "rows"), [([], []), ([3, 9, 5], [1, 2, 0]), ([2, 2], [0, 1])])
def test_rows_come_by_length_longest_first(lengths, rows):
    assert by_length(lengths) == rows


def test_items_are_taken_only_when_needed():
    taken = []

    def items():
        for size in (5, 5, 5, 5, 5):
            taken.append(size)
            yield size

    packs = packed(items(), int, 10)
    assert next(packs) == [5, 5]
    assert len(taken) == 3
