"""Heads: closed forms, invariances, and errors with the value."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kinoscope.errors import UsageError
from kinoscope.heads import check_dimension, last_token, mean_pool, normalise, truncate
from kinoscope.types import States

values = st.floats(-100, 100, width=32)


def states(rows, mask):
    return States(np.array(rows, np.float32), np.array(mask, np.bool_))


def directed(matrix):
    return bool((np.linalg.norm(matrix, axis=-1) > 1e-3).all())


def test_mean_pool_is_the_unit_mean_of_real_tokens():
    pooled = mean_pool(states([[[3, 0], [3, 8]], [[0, -2], [9, 9]]], [[True, True], [True, False]]))
    np.testing.assert_allclose(pooled, [[0.6, 0.8], [0.0, -1.0]], atol=1e-7)
    assert pooled.dtype == np.float32


@pytest.mark.parametrize("rubbish", [1e30, np.inf, np.nan])
def test_padding_never_leaks_into_the_mean(rubbish):
    clean = mean_pool(states([[[1, 2]]], [[True]]))
    padded = mean_pool(states([[[1, 2], [rubbish, rubbish]]], [[True, False]]))
    np.testing.assert_array_equal(clean, padded)


@given(arrays(np.float32, (3, 5, 4), elements=values), st.permutations(range(5)))
def test_mean_pool_ignores_the_order_of_tokens(block, order):
    assume(directed(block.mean(axis=1)))
    full = np.ones((3, 5), np.bool_)
    np.testing.assert_allclose(
        mean_pool(States(block, full)), mean_pool(States(block[:, order], full)), atol=1e-4
    )


@pytest.mark.parametrize("mask", [[0, 0, 1, 1], [1, 1, 0, 0], [0, 1, 1, 0], [1, 0, 1, 0]])
@pytest.mark.parametrize("rubbish", [7.0, np.nan])
def test_the_last_token_is_the_last_real_one_whatever_the_padding(mask, rubbish):
    real = [n for n, is_real in enumerate(mask) if is_real]
    rows = [[rubbish, rubbish]] * 4
    for n in real:
        rows[n] = [n + 1.0, 0.0]
    rows[real[-1]] = [3.0, 4.0]
    found = last_token(states([rows], [mask]))
    np.testing.assert_allclose(found, [[0.6, 0.8]], atol=1e-7)
    assert found.dtype == np.float32


def test_of_a_single_token_mean_and_last_are_one():
    alone = states([[[3, 4]], [[0, -2]]], [[1], [1]])
    np.testing.assert_array_equal(last_token(alone), mean_pool(alone))


def test_long_clips_keep_their_mean():
    tiny = np.full((1, 100_000, 2), 0.1, np.float32)
    tiny[0, :, 1] = 0.3
    pooled = mean_pool(States(tiny, np.ones((1, 100_000), np.bool_)))
    np.testing.assert_allclose(pooled, [np.array([1, 3]) / np.sqrt(10)], atol=1e-6)


@given(arrays(np.float32, (4, 6), elements=values).filter(directed), st.floats(0.01, 100))
def test_normalise_gives_unit_length_whatever_the_scale(matrix, scale):
    unit = normalise(matrix)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(unit, normalise(matrix * np.float32(scale)), atol=1e-4)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_a_vector_without_direction_is_our_error(bad):
    with pytest.raises(AssertionError, match="direction"):
        normalise(np.array([[1, 0], [bad, 0]], np.float32))


@given(arrays(np.float32, (3, 8), elements=values), st.integers(1, 8))
def test_truncate_keeps_the_direction_of_the_leading_part(matrix, dimension):
    assume(directed(matrix[:, :dimension]))
    cut = truncate(normalise(matrix), dimension)
    assert cut.shape == (3, dimension)
    np.testing.assert_allclose(cut, normalise(matrix[:, :dimension]), atol=1e-5)


def test_truncate_to_the_full_length_changes_nothing():
    unit = normalise(np.arange(1, 7, dtype=np.float32).reshape(2, 3))
    assert truncate(unit, 3) is unit


@pytest.mark.parametrize("dimension", [0, -1, 4])
def test_an_impossible_dimension_is_named(dimension):
    unit = normalise(np.ones((1, 3), np.float32))
    with pytest.raises(UsageError, match=rf"truncate_dim {dimension}: choose 1\.\.3"):
        truncate(unit, dimension)
    with pytest.raises(UsageError, match="choose"):
        check_dimension(dimension, 3)
