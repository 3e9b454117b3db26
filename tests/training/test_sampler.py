"""The sampler: each item once an epoch, the same draws from anywhere, fair turns, fair shares."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.errors import UsageError
from kinoscope.training.sampler import Draw, Part, Sampler, named

lengths, batches, seeds = st.integers(1, 60), st.integers(1, 20), st.integers(0, 10**6)


def single(length: int, batch: int, seed: int = 0) -> Sampler:
    return Sampler(parts={"only": Part(length=length)}, batch=batch, seed=seed)


@given(lengths, batches, seeds, st.integers(0, 3))
def test_an_epoch_has_every_item_once_in_draws_of_like_size(length, batch, seed, epoch):
    sampler = single(length, batch, seed)
    count = sampler.draws_per_epoch("only")
    draws = [sampler.draw(epoch * count + nth) for nth in range(count)]
    assert sorted(item for draw in draws for item in draw.items) == list(range(length))
    sizes = {len(draw.items) for draw in draws}
    assert max(sizes) <= batch
    assert max(sizes) - min(sizes) <= 1
    assert {draw.epoch for draw in draws} == {epoch}


@given(lengths, batches, seeds, st.lists(st.integers(0, 5000), min_size=1, max_size=8))
def test_a_draw_depends_on_nothing_that_was_drawn_before(length, batch, seed, numbers):
    parts = {"a": Part(length=length, weight=2), "b": Part(length=length + 3)}
    kept = Sampler(parts=parts, batch=batch, seed=seed)
    there = [kept.draw(number) for number in numbers]
    back = [kept.draw(number) for number in reversed(numbers)]
    fresh = [Sampler(parts=parts, batch=batch, seed=seed).draw(number) for number in numbers]
    assert there == back[::-1] == fresh


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), lengths, batches, seeds)
def test_parts_keep_their_own_order_whoever_has_turns_between(weights, length, batch, seed):
    """The n-th turn of a part goes on where its turn before ended."""
    parts = {str(k): Part(length=length + k, weight=w) for k, w in enumerate(weights)}
    sampler = Sampler(parts=parts, batch=batch, seed=seed)
    seen: dict[str, Counter[int]] = {name: Counter() for name in parts}
    for number in range(200):
        draw = sampler.draw(number)
        seen[draw.part].update(draw.items)
        counts = [seen[draw.part][item] for item in range(parts[draw.part].length)]
        assert max(counts) - min(counts) <= 1


def test_the_order_goes_on_over_the_edge_of_a_block_of_turns():
    sampler = Sampler(parts={"a": Part(length=7), "b": Part(length=11, weight=3)}, batch=2)
    seen = Counter()
    for number in range(2500):
        draw = sampler.draw(number)
        if draw.part == "a":
            seen.update(draw.items)
            assert max(seen.values()) - min(seen[item] for item in range(7)) <= 1


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=5), seeds)
def test_turns_follow_the_weights(weights, seed):
    parts = {str(k): Part(length=5, weight=w) for k, w in enumerate(weights)}
    try:
        sampler = Sampler(parts=parts, batch=2, seed=seed)
    except UsageError:  # less than a draw in a thousand
        assert min(weights) / sum(weights) < 1 / 1000
        return
    turns = Counter(sampler.draw(number).part for number in range(1000, 2000))
    for name, part in parts.items():
        assert abs(turns[name] - 1000 * part.weight / sum(weights)) < 1


def test_turns_are_spread_over_short_runs_too():
    parts = {"often": Part(length=9, weight=3), "seldom": Part(length=9, weight=1)}
    sampler = Sampler(parts=parts, batch=3)
    for start in range(0, 400, 40):
        turns = Counter(sampler.draw(number).part for number in range(start, start + 40))
        assert 9 <= turns["seldom"] <= 11


@given(lengths, st.integers(1, 5))
def test_processes_share_a_draw_without_gap_or_overlap(length, processes):
    draw = Draw("only", 0, tuple(range(length)))
    shares = [draw.share(number, processes).items for number in range(processes)]
    assert tuple(item for share in shares for item in share) == draw.items
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_epochs_and_seeds_have_orders_of_their_own():
    orders = {single(50, 50, seed).draw(epoch).items for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


@pytest.mark.parametrize(
    ("parts", "batch", "said"),
    [
        ({}, 1, "nothing to draw from: give at least one part"),
        ({"a": Part(length=0)}, 1, "part 'a' has 0 items: give at least 1"),
        ({"a": Part(length=1, weight=0)}, 1, "part 'a' has weight 0: give a positive one"),
        ({"a": Part(length=1, weight=float("nan"))}, 1, "part 'a' has weight nan"),
        ({"a": Part(length=1)}, 0, "batch 0: give at least 1"),
        (
            {"a": Part(length=1), "b": Part(length=1, weight=1e-5)},
            1,
            "part 'b' has less than one draw in 1000",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(parts, batch, said):
    with pytest.raises(UsageError, match=said):
        Sampler(parts=parts, batch=batch)


def test_too_many_processes_for_the_smallest_draw_are_refused():
    single(5, 4).require_share(2)
    with pytest.raises(UsageError, match="part 'only' has draws of 2 for 3 processes"):
        single(5, 4).require_share(3)


def test_items_of_a_step_are_named_up_to_a_limit():
    draws = [Draw("train", 0, (4, 9)), Draw("qa", 1, tuple(range(40)))]
    assert named(draws).startswith("items 4, 9 of train; items 0, 1, 2")
    assert named(draws).endswith("31 and 8 more of qa")
