"""Next token and matching against hand-computed cases, naive twins and numerical gradients."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.training.losses import IGNORED, matching, next_token, next_token_count
from tests.training.memory import LiveBytes

pytestmark = pytest.mark.usefixtures("one_torch_thread")
sizes = st.integers(1, 7)
seeds = st.integers(0, 2**32 - 1)


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    random = np.random.default_rng(seed)
    return torch.nn.functional.normalize(torch.from_numpy(random.normal(size=shape)), dim=-1)


def free(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.clone().requires_grad_()


# next token


def language(batch: int, length: int, seed: int = 0):
    """States [B, T, 5], head rows [11, 5] and labels, some of which are not asked for."""
    random = np.random.default_rng(seed)
    states = torch.from_numpy(random.normal(size=(batch, length, 5)))
    head = torch.from_numpy(random.normal(size=(11, 5)))
    labels = torch.from_numpy(random.integers(0, 11, (batch, length)))
    labels[torch.from_numpy(random.random((batch, length)) < 0.3)] = IGNORED
    return states, head, labels


def naive_next_token(states, head, labels) -> tuple[float, int]:
    total, count = 0.0, 0
    for row, wanted in zip(states.tolist(), labels.tolist(), strict=True):
        for place in range(len(wanted) - 1):
            if wanted[place + 1] != IGNORED:
                logits = [np.dot(row[place], word) for word in head.tolist()]
                total += math.log(sum(map(math.exp, logits))) - logits[wanted[place + 1]]
                count += 1
    return total, count


@given(sizes, sizes, st.integers(1, 9), seeds)
def test_next_token_equals_its_naive_twin_for_any_chunk(batch, length, chunk, seed):
    states, head, labels = language(batch, length, seed)
    total, count = naive_next_token(states, head, labels)
    assert float(next_token(states, head, labels, chunk=chunk)) == pytest.approx(total, abs=1e-9)
    assert next_token_count(labels) == count


def test_state_t_predicts_token_t_plus_one():
    head_VD = 50 * torch.eye(3)
    labels_BT = torch.tensor([[0, 1, 2]])
    knows_next_BTD = torch.eye(3)[torch.tensor([[1, 2, 0]])]
    knows_own_BTD = torch.eye(3)[labels_BT]
    assert float(next_token(knows_next_BTD, head_VD, labels_BT)) < 1e-6
    assert float(next_token(knows_own_BTD, head_VD, labels_BT)) > 90


def test_equal_logits_cost_the_logarithm_of_the_vocabulary():
    total = next_token(torch.zeros(2, 4, 3), torch.zeros(7, 3), torch.ones(2, 4, dtype=torch.long))
    assert float(total) == pytest.approx(6 * math.log(7), rel=1e-6)


def test_chunks_change_neither_value_nor_gradients():
    states, head, labels = language(3, 6)
    found = []
    for chunk in (1, 4, 1000):
        tensors = free(states), free(head)
        loss = next_token(*tensors, labels, chunk=chunk)
        loss.backward()
        found.append((loss.detach(), *(tensor.grad for tensor in tensors)))
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-12)


def test_no_logits_of_all_tokens_are_ever_in_memory():
    states, head = torch.randn(1, 513, 8, requires_grad=True), torch.randn(2000, 8)
    labels = torch.randint(0, 2000, (1, 513))
    with LiveBytes() as live:
        next_token(states, head, labels, chunk=32).backward()
    all_logits_bytes = 512 * 2000 * 4
    assert live.peak < all_logits_bytes / 3


def test_padding_with_nan_states_changes_nothing():
    states, head, labels = language(2, 5)
    labels[:, 3:] = IGNORED
    spoilt = states.clone()
    spoilt[:, 3:] = torch.nan
    assert torch.equal(next_token(states, head, labels), next_token(spoilt, head, labels))


def test_a_batch_in_which_nothing_is_asked_costs_nothing_and_goes_backward():
    states, head, labels = language(2, 5)
    states = free(states)
    total = next_token(states, head, torch.full_like(labels, IGNORED))
    total.backward()
    assert total == 0
    assert states.grad.abs().sum() == 0


def test_bounded_logits_are_those_of_the_model():
    states, head, labels = language(1, 4)
    logits = 3 * torch.tanh((states @ head.T) / 3)
    expected = torch.nn.functional.cross_entropy(
        logits[0, :-1], labels[0, 1:], ignore_index=IGNORED, reduction="sum"
    )
    torch.testing.assert_close(next_token(states, head, labels, softcap=3.0), expected)


def test_gradients_of_next_token_are_those_of_finite_differences():
    states, head, labels = language(2, 4)
    tensors = free(states), free(head)
    assert torch.autograd.gradcheck(
        lambda states, head: next_token(states, head, labels, chunk=2, softcap=5.0), tensors
    )


# matching


def test_matching_is_the_cross_entropy_of_the_margin_between_yes_and_no():
    states_BD = torch.tensor([[1.0, 2.0], [1.0, 2.0]], dtype=torch.float64)
    answers_2D = torch.tensor([[1.0, 1.0], [1.0, 0.5]], dtype=torch.float64)  # margin 1
    losses_B = matching(states_BD, answers_2D, torch.tensor([True, False]))
    assert losses_B.tolist() == pytest.approx(
        [math.log(1 + math.exp(-1)), math.log(1 + math.exp(1))]
    )


@given(sizes, seeds, st.sampled_from([1.0, 8.0]))
def test_matching_equals_its_naive_twin_with_bounded_logits(count, seed, temperature):
    states, answers = unit(count, 4, seed=seed) * 4, unit(2, 4, seed=seed + 1) * 4
    fits = np.random.default_rng(seed).random(count) < 0.5
    losses = matching(
        states, answers, torch.from_numpy(fits), softcap=3.0, temperature=temperature
    ).tolist()
    for state, fit, loss in zip(states.numpy(), fits, losses, strict=True):
        yes, no = (3 * math.tanh(state @ row / 3) for row in answers.numpy())
        share = 1 / (1 + math.exp((no - yes) / temperature))
        assert loss == pytest.approx(-math.log(share if fit else 1 - share), rel=1e-9)


def test_gradients_of_matching_are_those_of_finite_differences():
    states, answers = free(unit(3, 4)), free(unit(2, 4))
    fits_B = torch.tensor([True, False, True])
    assert torch.autograd.gradcheck(lambda s, a: matching(s, a, fits_B), (states, answers))
