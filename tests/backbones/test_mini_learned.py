"""Weights in a byte: never off by more than half a step, whatever they are."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kinoscope.backbones.mini_learned import dequantised, quantised

SHAPES = ((1, 1), (3, 7), (5, 1), (2, 3, 3, 3, 3))
WEIGHTS = st.sampled_from(SHAPES).flatmap(
    lambda shape: arrays.arrays(
        np.float32, shape, elements=st.floats(-(2.0**99), 2.0**99, width=32)
    )
)


@given(WEIGHTS)
def test_the_error_is_at_most_half_a_step_of_its_row(values) -> None:
    weight = torch.from_numpy(values)
    steps, scale_R = quantised(weight)
    assert (steps.dtype, steps.shape) == (torch.int8, weight.shape)
    assert (scale_R.dtype, scale_R.shape) == (torch.float32, weight.shape[:1])
    assert int(steps.abs().max()) <= 127
    error_RN = (dequantised(steps, scale_R).double() - weight.double()).abs().flatten(1)
    assert (error_RN <= scale_R.double()[:, None] * (0.5 + 1e-4)).all()


def test_the_largest_of_a_row_and_zero_are_exact() -> None:
    weight = torch.tensor([[0.0, 1.27, -0.3], [0.0, 0.0, 0.0], [-127e-9, 3e-9, 0.0]])
    steps, scale_R = quantised(weight)
    assert bool((scale_R > 0).all())
    assert steps.tolist() == [[0, 127, -30], [0, 0, 0], [-127, 3, 0]]
    assert torch.allclose(dequantised(steps, scale_R), weight, rtol=1e-5, atol=0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_has_no_finite_scale(bad) -> None:
    _steps, scale_R = quantised(torch.tensor([[1.0, 2.0], [1.0, bad]]))
    assert torch.isfinite(scale_R).tolist() == [True, False]


def test_a_row_is_scaled_apart_from_others() -> None:
    weight = torch.tensor([[1000.0, 1.0], [0.001, 0.002]])
    again = dequantised(*quantised(weight))
    assert torch.allclose(again[1], weight[1], rtol=0.01)
