"""Heads over thoughts: closed forms, any length, padding that never matters."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.errors import UsageError
from kinoscope.thinking.kv_former import KVFormer, LastPooling, MeanPooling, pooling_named, unit

B, K, D = 4, 5, 12


def stirred(seed=0):
    """As after training: nothing is zero."""
    torch.manual_seed(seed)
    head = KVFormer(D, slots=3, heads=2, hidden=7)
    for values in head.parameters():
        torch.nn.init.normal_(values, std=0.4)
    return head


POOLINGS = [MeanPooling(), LastPooling(), stirred()]


def thoughts(seed=0, rows=B, steps=K):
    return torch.from_numpy(
        np.random.default_rng(seed).normal(size=(rows, steps, D)).astype(np.float32)
    )


def mask_of(*lengths):
    return torch.arange(K)[None] < torch.tensor(lengths)[:, None]


def norm(x, part):
    x = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
    return x * part.weight.detach().double().numpy() + part.bias.detach().double().numpy()


def by_hand(head, states_KD):
    """The formula in float64, thought by thought, head by head, slot by slot."""
    w = {name: values.detach().double().numpy() for name, values in head.named_parameters()}
    size, total_D = D // head.heads, np.zeros(D)
    for g_D in states_KD.double().numpy():
        query_D = w["query.weight"] @ norm(g_D, head.attention_norm)
        found = []
        for part in range(head.heads):
            own = slice(part * size, (part + 1) * size)
            scores_P = w["keys"][:, own] @ query_D[own] / np.sqrt(size)
            shares_P = np.exp(scores_P - scores_P.max())
            found.append(shares_P / shares_P.sum() @ w["slot_values"][:, own])
        h_D = g_D + w["attention_out.weight"] @ np.concatenate(found) + w["attention_out.bias"]
        inner = w["enter.weight"] @ norm(h_D, head.mlp_norm) + w["enter.bias"]
        erf = torch.erf(torch.from_numpy(inner) / np.sqrt(2)).numpy()
        total_D += h_D + w["leave.weight"] @ (inner * (1 + erf) / 2) + w["leave.bias"]
    return total_D / np.linalg.norm(total_D)


def test_it_is_the_formula():
    head, states_BKD = stirred(), thoughts()
    found_BD = head(states_BKD, mask_of(5, 1, 3, 2)).detach().numpy()
    for found_D, states_KD, length in zip(found_BD, states_BKD, (5, 1, 3, 2), strict=True):
        np.testing.assert_allclose(found_D, by_hand(head, states_KD[:length]), atol=1e-5)


def test_before_training_it_is_the_mean_and_of_one_thought_that_thought():
    head, states_BKD = KVFormer(D, heads=2), thoughts()
    assert head(states_BKD).equal(MeanPooling()(states_BKD))
    assert head(states_BKD[:, :1]).equal(unit(states_BKD[:, 0]))


@pytest.mark.parametrize("head", POOLINGS, ids=lambda head: head.name)
def test_the_vector_of_each_prefix_is_that_of_the_prefix_alone(head):
    states_BKD, lengths = thoughts(), (5, 1, 3, 4)
    z_BKD = head.prefixes(states_BKD, mask_of(*lengths))
    for row, length in enumerate(lengths):
        for k in range(1, K + 1):
            alone_D = head(states_BKD[row : row + 1, : min(k, length)])[0]
            torch.testing.assert_close(z_BKD[row, k - 1], alone_D, atol=1e-6, rtol=0)
    torch.testing.assert_close(head.prefixes(states_BKD)[:, -1], head(states_BKD))


@pytest.mark.parametrize("head", POOLINGS, ids=lambda head: head.name)
@pytest.mark.parametrize("junk", [float("nan"), float("inf"), 1e30, 0.0])
def test_what_stands_in_padding_never_counts_nor_turns_a_gradient(head, junk):
    mask_BK, clean_BKD = mask_of(5, 1, 3, 2), thoughts()
    dirty_BKD = clean_BKD.masked_fill(~mask_BK[..., None], junk).requires_grad_()
    for name in ("forward", "prefixes"):
        found = getattr(head, name)(dirty_BKD, mask_BK)
        assert found.equal(getattr(head, name)(clean_BKD, mask_BK))
        (slopes_BKD,) = torch.autograd.grad(found.square().sum() + found.sum(), dirty_BKD)
        assert slopes_BKD.isfinite().all()
        assert not slopes_BKD[~mask_BK].any()


@pytest.mark.parametrize("head", POOLINGS, ids=lambda head: head.name)
@given(data=st.data())
def test_a_row_depends_on_no_other_and_is_of_unit_length(head, data):
    rows, steps = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 6))
    lengths = data.draw(st.lists(st.integers(1, steps), min_size=rows, max_size=rows))
    states_BKD = thoughts(data.draw(st.integers(0, 9)), rows, steps)
    mask_BK = torch.arange(steps)[None] < torch.tensor(lengths)[:, None]
    found_BD = head(states_BKD, mask_BK)
    torch.testing.assert_close(found_BD.norm(dim=1), torch.ones(rows))
    for row, length in enumerate(lengths):
        alone_D = head(states_BKD[row : row + 1, :length])[0]
        torch.testing.assert_close(found_BD[row], alone_D, atol=1e-6, rtol=0)


def test_the_last_pooling_is_the_last_thought():
    states_BKD = thoughts()
    assert LastPooling()(states_BKD, mask_of(5, 1, 3, 2))[2].equal(unit(states_BKD[2, 2]))


def test_autocast_does_not_round_it():
    head, states_BKD = stirred(), thoughts()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = head(states_BKD)
    assert rounded.dtype == torch.float32
    assert rounded.equal(head(states_BKD))


def test_every_part_learns():
    head = KVFormer(D, heads=2)
    optimiser = torch.optim.SGD(head.parameters(), lr=0.1)
    for _ in range(3):  # the first step moves the last maps alone
        optimiser.zero_grad()
        head(thoughts())[:, 0].sum().backward()
        optimiser.step()
    still = [name for name, values in head.named_parameters() if not values.grad.any()]
    assert not still


@pytest.mark.parametrize(
    ("sizes", "sentence"),
    [
        ({"slots": 0}, "KV-Former slots 0: give at least 1"),
        ({"heads": 5}, "KV-Former heads 5: 12 is no multiple of it"),
        ({"heads": 0}, "KV-Former heads 0"),
        ({"heads": 2, "hidden": -1}, "KV-Former hidden -1"),
    ],
)
def test_sizes_that_do_not_fit_are_named(sizes, sentence):
    with pytest.raises(UsageError, match=sentence):
        KVFormer(D, **sizes)


def test_a_pooling_without_weights_has_a_name():
    assert [type(pooling_named(name)) for name in ("mean", "last")] == [MeanPooling, LastPooling]
    with pytest.raises(UsageError, match="pooling 'kv-former': choose mean or last, or give a KVF"):
        pooling_named("kv-former")


@pytest.mark.parametrize(
    ("real", "sentence"), [([0, 1, 1], "without a first thought"), ([1, 0, 1], "a gap between")]
)
def test_a_row_has_its_thoughts_first_and_at_least_one(real, sentence):
    with pytest.raises(AssertionError, match=sentence):
        MeanPooling()(thoughts(rows=1, steps=3), torch.tensor([real]) > 0)
