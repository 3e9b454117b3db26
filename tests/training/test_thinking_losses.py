"""Losses of thinking against closed forms, naive twins, and one process against two."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from kinoscope.errors import UsageError
from kinoscope.training.gather import alone, gather_objects
from kinoscope.training.losses import two_way
from kinoscope.training.thinking_losses import (
    THINKING_TERMS,
    ThinkingLossConfig,
    from_prior,
    gathered_steps,
    mean_steps,
    prior_chance,
    stepwise_contrast,
    thinking_terms,
    truncated_geometric,
)
from tests.training.learning import in_processes, model

pytestmark = pytest.mark.usefixtures("one_torch_thread")
seeds = st.integers(0, 2**32 - 1)
counts = st.integers(1, 9)


def doubles(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.nn.functional.normalize(doubles(*shape, seed=seed), dim=-1)


def chances(rows: int, count: int, seed: int = 0) -> torch.Tensor:
    return doubles(rows, count, seed=seed).mul(2).softmax(1)


def terms(losses_BK, p_BK, **fields) -> dict[str, torch.Tensor]:
    return thinking_terms(losses_BK, p_BK, ThinkingLossConfig(**fields))


# the prior


@given(st.floats(0, 0.999), counts)
def test_a_truncated_geometric_distribution_sums_to_one_and_falls_by_one_factor(chance, count):
    p_K = truncated_geometric(chance, count)
    assert float(p_K.sum()) == pytest.approx(1, abs=1e-12)
    assert (p_K[1:] / p_K[:-1]).tolist() == pytest.approx([1 - chance] * (count - 1), rel=1e-9)


def test_a_truncated_geometric_distribution_is_that_of_the_closed_form():
    whole = 1 - 0.75**3
    expected = [0.25 / whole, 0.25 * 0.75 / whole, 0.25 * 0.75**2 / whole]
    assert truncated_geometric(0.25, 3).tolist() == pytest.approx(expected, rel=1e-12)
    assert truncated_geometric(0.0, 4).tolist() == pytest.approx([0.25] * 4, rel=1e-12)


@given(st.integers(2, 12), st.floats(0.001, 1))
def test_the_prior_has_the_mean_that_is_asked_for(count, share):
    target = 1 + share * (count - 1) / 2
    chance = prior_chance(target, count)
    assert 0 <= chance < 1
    assert float(mean_steps(truncated_geometric(chance, count))) == pytest.approx(target, abs=1e-9)


def test_more_steps_are_asked_for_by_a_smaller_chance():
    found = [prior_chance(target, 8) for target in (1.5, 2.0, 3.0, 4.4)]
    assert found == sorted(found, reverse=True)
    assert prior_chance(4.5, 8) == pytest.approx(0, abs=1e-9)
    # of two steps: the mean is 1 + (1 - c) / (2 - c)
    assert prior_chance(1.25, 2) == pytest.approx(2 / 3, rel=1e-9)


@pytest.mark.parametrize(("target", "count"), [(3.0, 4), (1.0, 8), (math.nan, 8), (1.5, 1)])
def test_a_mean_that_no_prior_has_is_refused(target, count):
    with pytest.raises(UsageError, match=rf"target_steps {target:g} of at most {count} steps"):
        prior_chance(target, count)


def test_the_distance_is_that_of_p_from_the_prior_and_not_the_other_way_round():
    p_BK = torch.tensor([[0.9, 0.1], [0.5, 0.5]], dtype=torch.float64)
    prior_K = torch.tensor([0.5, 0.5], dtype=torch.float64)
    forward = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)
    backward = 0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1)
    assert abs(forward - backward) > 0.1
    assert from_prior(p_BK, prior_K).tolist() == pytest.approx([forward, 0.0], abs=1e-12)


@given(counts, seeds)
def test_the_distance_is_never_negative_and_zero_only_at_the_prior(count, seed):
    prior_K = truncated_geometric(0.3, count)
    found_B = from_prior(chances(5, count, seed), prior_K)
    assert bool((found_B >= -1e-12).all())
    assert from_prior(prior_K[None], prior_K).tolist() == pytest.approx([0.0], abs=1e-12)


def test_a_step_of_no_chance_adds_nothing_and_has_a_gradient():
    p_BK = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    found_B = from_prior(p_BK, truncated_geometric(0.5, 3))
    assert found_B.tolist() == pytest.approx([-math.log(4 / 7)], abs=1e-12)
    found_B.sum().backward()
    assert bool(torch.isfinite(p_BK.grad).all())


# the terms


def test_all_terms_are_those_of_the_formula():
    losses_BK = torch.tensor([[1.0, 0.5, 0.8], [3.0, 1.5, 2.2]], dtype=torch.float64)
    p_BK = torch.tensor([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0]], dtype=torch.float64)
    found = terms(losses_BK, p_BK, target_steps=1.7)
    prior = truncated_geometric(prior_chance(1.7, 3), 3).tolist()
    kl = sum(p * math.log(p / q) for p, q in zip((0.2, 0.5, 0.3), prior, strict=True))
    expected = {
        "ponder": 0.2 * 1.0 + 0.5 * 0.5 + 0.3 * 0.8 + 3.0,
        "stepwise": (1.0 + 0.5 + 0.8) / 3 + (3.0 + 1.5 + 2.2) / 3,
        "monotone": 2 * math.log(1.5 / 1.0) / 2,  # means 2, 1, 1.5: one rise, two gaps, two rows
        "prior": kl - math.log(prior[0]),
        "gain": 0.0,
    }
    assert tuple(found) == THINKING_TERMS
    assert {n: float(v) for n, v in found.items()} == pytest.approx(expected, rel=1e-12)


@given(st.integers(1, 6), counts, seeds)
def test_losses_that_fall_in_the_mean_have_no_monotone_term(rows, count, seed):
    falling_K = doubles(count, seed=seed).abs().cumsum(0).flip(0) + 0.1
    losses_BK = falling_K + 0.05 * unit(rows, 1, seed=seed)
    assert float(terms(losses_BK, None)["monotone"]) == 0
    rising = float(terms(losses_BK.flip(1), None)["monotone"])
    logs = losses_BK.mean(0).log()
    assert rising == pytest.approx(rows * float(logs[0] - logs[-1]) / max(1, count - 1), rel=1e-9)


def test_while_halting_is_off_steps_weigh_the_same_and_there_is_no_prior():
    losses_BK = doubles(4, 8).abs() + 0.1
    found = terms(losses_BK, None)
    assert float(found["ponder"]) == pytest.approx(float(found["stepwise"]), rel=1e-12)
    assert float(found["prior"]) == 0


def test_one_step_is_a_plain_contrast():
    losses_BK = doubles(5, 1).abs() + 0.1
    found = terms(losses_BK, torch.ones(5, 1, dtype=torch.float64))
    assert float(found["ponder"]) == float(found["stepwise"]) == float(losses_BK.sum())
    assert float(found["monotone"]) == float(found["prior"]) == 0


@given(seeds)
def test_gradients_are_the_numerical_ones(seed):
    losses_BK = (doubles(3, 4, seed=seed).abs() + 0.1).requires_grad_()
    logits_BK = doubles(3, 4, seed=seed + 1).requires_grad_()

    def total(losses_BK, logits_BK):
        return sum(terms(losses_BK, logits_BK.softmax(1), target_steps=2.0).values())

    assert torch.autograd.gradcheck(total, (losses_BK, logits_BK))


def test_halting_is_told_to_stop_where_the_next_step_gains_too_little():
    losses_BK = torch.tensor([[1.0, 0.5, 0.45, 0.9]], dtype=torch.float64)
    p_BK = torch.tensor([[0.2, 0.4, 0.1, 0.3]], dtype=torch.float64, requires_grad=True)
    found = terms(losses_BK, p_BK, target_steps=2.0, gain=1.0, margin=0.1)["gain"]
    chances = (0.2, 0.4 / 0.8, 0.1 / 0.4)  # go on, stop, stop
    expected = -(math.log(1 - chances[0]) + math.log(chances[1]) + math.log(chances[2])) / 3
    assert float(found.detach()) == pytest.approx(expected, rel=1e-12)
    assert float(terms(losses_BK, None, gain=1.0)["gain"]) == 0
    certain_BK = torch.tensor([[1.0, 0.0, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    terms(losses_BK, certain_BK, target_steps=2.0, gain=1.0)["gain"].backward()
    assert bool(torch.isfinite(certain_BK.grad).all())


def test_a_batch_that_is_told_apart_perfectly_has_finite_terms():
    losses_BK = torch.zeros(3, 4, requires_grad=True)
    found = sum(terms(losses_BK, torch.full((3, 4), 0.25), target_steps=2.0).values())
    found.backward()
    assert math.isfinite(float(found.detach())) and bool(torch.isfinite(losses_BK.grad).all())


def test_a_target_that_no_prior_has_is_refused_unless_it_weighs_nothing():
    losses_BK, p_BK = doubles(2, 3).abs(), chances(2, 3)
    with pytest.raises(UsageError, match="target_steps 3 of at most 3 steps: choose more than 1"):
        terms(losses_BK, p_BK)
    assert float(terms(losses_BK, p_BK, beta=0.0)["prior"]) == 0


def test_halting_is_off_for_the_first_share_of_the_run():
    config = ThinkingLossConfig(held=0.2)
    assert [config.halts(step, 10) for step in (1, 2, 3, 10)] == [False, False, True, True]
    assert ThinkingLossConfig(held=0.0).halts(1, 10)
    assert not ThinkingLossConfig(held=1.0).halts(10, 10)


@pytest.mark.parametrize(
    "fields",
    [
        {"rho": -1.0},
        {"gamma": math.inf},
        {"beta": math.nan},
        {"target_steps": 1.0},
        {"held": 1.1},
        {"gain": -0.5},
        {"margin": math.inf},
    ],
)
def test_senseless_weights_are_refused(fields):
    ((name, value),) = fields.items()
    with pytest.raises(UsageError, match=f"{name} {value} is out of range: see ThinkingLoss"):
        ThinkingLossConfig(**fields)


# the contrast of each step


@given(st.integers(1, 5), counts, st.booleans(), seeds)
def test_each_step_has_the_two_way_contrast_of_its_vectors(rows, count, hard, seed):
    video_BKD, text_BKD = unit(rows, count, 6, seed=seed), unit(rows, 3, 6, seed=seed + 1)
    wrong = unit(rows, 1, 6, seed=seed + 2) if hard else None
    same_BN = torch.rand(rows, rows, generator=torch.Generator().manual_seed(seed % 1000)) < 0.3
    options = {"temperature": 0.3, "hard_text": wrong, "same_BN": same_BN}
    video, text = gathered_steps(video_BKD), gathered_steps(text_BKD)
    found_BK = stepwise_contrast(video, text, side="video", **options)
    assert found_BK.shape == (rows, count)
    for step in range(count):
        alike = two_way(alone(video_BKD[:, step]), alone(text_BKD[:, -1]), **options).rows_B
        torch.testing.assert_close(found_BK[:, step], alike, rtol=1e-12, atol=0)
    found_BK = stepwise_contrast(video, text, side="text", **options)
    assert found_BK.shape == (rows, 3)
    for step in range(3):
        alike = two_way(alone(video_BKD[:, -1]), alone(text_BKD[:, step]), **options).rows_B
        torch.testing.assert_close(found_BK[:, step], alike, rtol=1e-12, atol=0)


# two processes

UNEVEN = (3, 5)
COUNT = 4


def thought(number: int | None) -> dict[str, torch.Tensor]:
    """Terms of the mean over all items and their gradients, from one process's items or all."""
    net = model(0, 0.0).double()
    own = slice(None) if number is None else slice(0, 3) if number == 0 else slice(3, 8)
    inputs_BKD = doubles(sum(UNEVEN), COUNT, 6, seed=5)[own]
    text_BD = doubles(sum(UNEVEN), 6, seed=6)[own]

    def encode(x):
        return torch.nn.functional.normalize(net(x), dim=-1)

    video, text = gathered_steps(encode(inputs_BKD)), gathered_steps(encode(text_BD)[:, None])
    losses_BK = stepwise_contrast(video, text, side="video", temperature=0.2)
    p_BK = net(inputs_BKD).sum(-1).softmax(1)
    found = terms(losses_BK, p_BK, target_steps=2.0)
    assert float(found["monotone"].detach()) > 0
    means = {name: value / sum(UNEVEN) for name, value in found.items()}
    sum(means.values()).backward()
    found = {name: value.detach() for name, value in means.items()}
    return found | {name: p.grad for name, p in net.named_parameters()}


def thought_here(number, folder):
    assert gather_objects(number) == [0, 1]
    save_file(thought(number), folder / f"{number}.safetensors")


def test_two_processes_have_the_terms_and_gradients_of_one(tmp_path):
    in_processes(thought_here, 2, tmp_path, tmp_path)
    parts = [load_file(tmp_path / f"{number}.safetensors") for number in (0, 1)]
    for name, value in thought(None).items():
        torch.testing.assert_close(parts[0][name] + parts[1][name], value, rtol=1e-11, atol=1e-14)
