"""Compact vectors against naive twins: error bounds, order, odd dimensions, bad input."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinoscope import compact as module
from kinoscope.compact import (
    Compact,
    quantise,
    ranges_of,
    restore,
    sign_ranges,
    similarity,
)
from kinoscope.errors import UsageError
from tests.made_index import random_units, unit

PRECISIONS = ("float32", "float16", "int8", "binary")
LEARNED = ("int8", "binary")


@st.composite
def rows(draw, least: int = 1):
    """Unit vectors around a common direction, some of them equal."""
    count, dimension = draw(st.integers(least, 30)), draw(st.integers(1, 21))
    seed, spread = draw(st.integers(0, 2**16)), draw(st.sampled_from([0.1, 1.0, 10.0]))
    random = np.random.default_rng(seed)
    centre_D = random.normal(size=dimension)
    vectors_ND = unit(centre_D + spread * random.normal(size=(count, dimension)))
    chosen = random.integers(0, count, count) if draw(st.booleans()) else np.arange(count)
    return vectors_ND[chosen]


def naive_restored(compact: Compact) -> np.ndarray:
    """Component by component, in Python's own numbers."""
    table = np.empty((len(compact), compact.dimension))
    for n in range(len(compact)):
        for d in range(compact.dimension):
            table[n, d] = naive_component(compact, n, d)
        table[n] /= np.sqrt(sum(value * value for value in table[n]))
    return table


def naive_component(compact: Compact, n: int, d: int) -> float:
    if compact.ranges_2D is None:
        return float(compact.codes_N[n, d])
    low, high = (float(value) for value in compact.ranges_2D[:, d])
    if compact.precision == "int8":
        return low + (int(compact.codes_N[n, d]) + 128) * (high - low) / 255
    bit = int(compact.codes_N[n, d // 8]) >> (7 - d % 8) & 1
    away = float(compact.scales_N[n]) * (high - low) / 2
    return (low + high) / 2 + (away if bit else -away)


def naive_similarity(queries_QD: np.ndarray, compact: Compact) -> np.ndarray:
    table = naive_restored(compact)
    return np.array([[sum(q * row) for row in table] for q in queries_QD.astype(np.float64)])


@pytest.mark.parametrize("precision", PRECISIONS)
@given(vectors=rows())
def test_similarity_and_restore_equal_their_naive_twins(precision, vectors) -> None:
    compact = quantise(vectors, precision)
    queries = random_units(3, vectors.shape[1], seed=1)
    assert np.allclose(restore(compact), naive_restored(compact), atol=1e-5)
    found = similarity(queries, compact)
    assert found.dtype == np.float32
    assert np.allclose(found, naive_similarity(queries, compact), atol=1e-5)


def greatest_error(compact: Compact) -> float:
    """How far a restored vector may lie from the true one.

    Codes are off by half a step, or half a unit in the last place, in each dimension; scaling to
    unit length at most doubles that.
    """
    dimension = compact.dimension
    if compact.precision == "float32":
        return 1e-6
    if compact.precision == "float16":
        return 2 * (2.0**-11 + 2.0**-24 * dimension**0.5) + 1e-6
    steps_D = (compact.ranges_2D[1] - compact.ranges_2D[0]) / 255
    return float(np.linalg.norm(steps_D)) + 1e-5


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
@given(vectors=rows())
def test_what_is_restored_is_near_and_of_unit_length(precision, vectors) -> None:
    compact = quantise(vectors, precision)
    assert compact.clipped == 0
    restored = restore(compact)
    assert np.allclose(np.linalg.norm(restored, axis=1), 1, atol=1e-6)
    assert np.linalg.norm(restored - vectors, axis=1).max() <= greatest_error(compact)


@given(vectors=rows())
def test_an_int8_code_is_the_nearest_of_its_steps(vectors) -> None:
    compact = quantise(vectors, "int8")
    decoded = [
        [naive_component(compact, n, d) for d in range(compact.dimension)]
        for n in range(len(compact))
    ]
    half_steps_D = (compact.ranges_2D[1] - compact.ranges_2D[0]) / 510
    assert (np.abs(decoded - vectors) <= half_steps_D + 1e-6).all()


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
@given(vectors=rows(least=2), seed=st.integers(0, 2**16))
def test_a_clear_difference_of_cosines_keeps_its_sign(precision, vectors, seed) -> None:
    queries = random_units(3, vectors.shape[1], seed)
    compact = quantise(vectors, precision)
    exact = queries.astype(np.float64) @ vectors.T.astype(np.float64)
    found = similarity(queries, compact)
    clear = exact[:, :, None] - exact[:, None, :] > 2 * greatest_error(compact) + 1e-6
    assert (found[:, :, None] > found[:, None, :])[clear].all()


@pytest.mark.parametrize("precision", PRECISIONS)
@given(vectors=rows())
def test_equal_rows_get_equal_codes_and_scores(precision, vectors) -> None:
    doubled = np.concatenate([vectors, vectors])
    found = similarity(random_units(2, vectors.shape[1]), quantise(doubled, precision))
    count = len(vectors)
    assert np.allclose(found[:, :count], found[:, count:], atol=1e-6)
    compact = quantise(doubled, precision)
    assert np.array_equal(compact.codes_N[:count], compact.codes_N[count:])


@given(vectors=rows())
def test_bits_with_sign_ranges_are_signs_packed_as_numpy_packs_them(vectors) -> None:
    dimension = vectors.shape[1]
    compact = quantise(vectors, "binary", sign_ranges(dimension))
    assert np.array_equal(compact.codes_N, np.packbits(vectors > 0, axis=1))
    signs = np.where(vectors > 0, 1, -1) / np.sqrt(dimension)
    assert np.allclose(restore(compact), signs, atol=1e-6)


@given(vectors=rows())
def test_bits_tell_the_side_of_the_middle_and_the_best_scale(vectors) -> None:
    compact = quantise(vectors, "binary")
    low, high = compact.ranges_2D
    middle, half = (low + high) / 2, (high - low) / 2
    bits = np.unpackbits(compact.codes_N, axis=1)[:, : vectors.shape[1]]
    assert np.array_equal(bits, vectors > middle)
    steps = half * np.where(bits, 1, -1)

    def error(scales):
        return np.square(vectors - middle - scales[:, None] * steps).sum(axis=1)

    for change in (-0.01, 0.01):  # no other scale comes nearer
        assert (error(compact.scales_N) <= error(compact.scales_N + change) + 1e-6).all()


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("block", [1, 7, 30, 10**6])
def test_the_answer_does_not_depend_on_the_block_size(monkeypatch, precision, block) -> None:
    vectors, queries = random_units(25, 13), random_units(4, 13, seed=1)
    whole = quantise(vectors, precision)
    wanted = similarity(queries, whole)
    monkeypatch.setattr(module, "_BLOCK_VALUES", block)
    parts = quantise(vectors, precision)
    assert np.array_equal(parts.codes_N, whole.codes_N)
    assert np.allclose(similarity(queries, parts), wanted, atol=1e-6)
    assert np.allclose(restore(parts), restore(whole), atol=1e-6)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_similarity_never_holds_all_rows_as_float32(monkeypatch, precision) -> None:
    compact = quantise(random_units(100, 16), precision)
    monkeypatch.setattr(module, "_BLOCK_VALUES", 16 * 8)
    held = []
    true_decoded = module._decoded

    def decoded(given, block):
        rows_ND = true_decoded(given, block)
        held.append(rows_ND.shape)
        return rows_ND

    monkeypatch.setattr(module, "_decoded", decoded)
    similarity(random_units(2, 16), compact)
    assert len(held) == 13
    assert max(held) == (8, 16)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("dimension", [1, 7, 8, 9])
def test_no_rows_stay_no_rows(precision, dimension) -> None:
    ranges = sign_ranges(dimension) if precision in LEARNED else None
    compact = quantise(np.empty((0, dimension), np.float32), precision, ranges)
    assert len(compact) == 0
    assert restore(compact).shape == (0, dimension)
    assert similarity(random_units(2, dimension), compact).shape == (2, 0)
    assert similarity(np.empty((0, dimension), np.float32), compact).shape == (0, 0)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_one_row_is_restored_exactly_but_for_rounding(precision) -> None:
    vectors = random_units(1, 11)
    assert np.allclose(restore(quantise(vectors, precision)), vectors, atol=1e-3)


def test_bytes_per_vector_are_those_of_the_arrays() -> None:
    vectors = random_units(10, 20)
    sizes = {precision: quantise(vectors, precision).bytes_per_vector for precision in PRECISIONS}
    assert sizes == {"float32": 80, "float16": 40, "int8": 20, "binary": 3 + 4}


@pytest.mark.parametrize("precision", LEARNED)
def test_later_vectors_are_coded_alike(precision) -> None:
    first, later = random_units(50, 9), random_units(5, 9, seed=1)
    ranges = ranges_of(np.concatenate([first, later]), precision)
    together = quantise(np.concatenate([first, later]), precision, ranges)
    assert np.array_equal(quantise(later, precision, ranges).codes_N, together.codes_N[50:])


def test_components_outside_the_ranges_are_clipped_and_counted() -> None:
    vectors = unit([[0.6, 0.8], [1.0, 0.0], [-0.6, 0.8]])
    ranges = np.array([[-0.5, 0.0], [0.7, 0.9]], np.float32)
    compact = quantise(vectors, "int8", ranges)
    assert compact.clipped == 2
    assert compact.codes_N[:, 0].tolist()[1:] == [127, -128]
    assert quantise(vectors, "int8").clipped == 0


def test_spare_ranges_reach_further_on_each_side() -> None:
    vectors = random_units(20, 5)
    low, high = ranges_of(vectors)
    wide_low, wide_high = ranges_of(vectors, spare=0.25)
    assert np.allclose(low - wide_low, (high - low) / 4)
    assert np.allclose(wide_high - high, (high - low) / 4)
    beyond = random_units(200, 5, seed=1)
    plain = quantise(beyond, "int8", np.stack([low, high])).clipped
    assert quantise(beyond, "int8", np.stack([wide_low, wide_high])).clipped < plain


def test_learned_middles_tell_neighbours_apart_where_signs_do_not() -> None:
    """Vectors of one space share a direction: their signs are much the same."""
    vectors = unit(3 * np.ones(64) + np.random.default_rng(0).normal(size=(200, 64)))
    exact = vectors @ vectors.T
    signs = similarity(vectors, quantise(vectors, "binary", sign_ranges(64)))
    learned = similarity(vectors, quantise(vectors, "binary"))
    between = ~np.eye(200, dtype=bool)
    correlation = [np.corrcoef(exact[between], each[between])[0, 1] for each in (signs, learned)]
    assert correlation[0] < 0.6 < 0.8 < correlation[1]


def test_taken_rows_are_those_of_the_whole() -> None:
    chosen = np.array([4, 0, 4])
    for precision in PRECISIONS:
        compact = quantise(random_units(6, 10), precision)
        assert np.array_equal(restore(compact.take(chosen)), restore(compact)[chosen])


def test_it_prints_shapes_not_values() -> None:
    assert repr(quantise(random_units(3, 9), "binary")) == "Compact(binary, ND=[3, 9])"


def spoilt(value: float, row: int = 1) -> np.ndarray:
    vectors = random_units(3, 4)
    vectors[row] = value
    return vectors


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    ("vectors", "sentence"),
    [
        (spoilt(np.nan), "row 1 has length nan: give finite vectors of unit length"),
        (spoilt(np.inf), "row 1 has length inf"),
        (spoilt(0.0, row=2), "row 2 has length 0:"),
        (2 * random_units(3, 4), "row 0 has length 2:"),
        (random_units(3, 4).astype(np.float64), r"vectors are float64 \[3, 4\]: give float32"),
        (random_units(1, 4)[0], r"vectors are float32 \[4\]"),
        (np.empty((3, 0), np.float32), r"vectors are float32 \[3, 0\]"),
        ([[1.0, 0.0]], "vectors of type list"),
    ],
)
def test_unfit_vectors_are_refused_as_rows_and_as_queries(precision, vectors, sentence) -> None:
    with pytest.raises(UsageError, match=sentence):
        quantise(vectors, precision)
    with pytest.raises(UsageError, match=sentence):
        similarity(vectors, quantise(random_units(3, 4), precision))


def test_other_wrong_arguments_are_named() -> None:
    vectors = random_units(3, 4)
    with pytest.raises(UsageError, match="precision 'int4': choose float32, float16, int8, binary"):
        quantise(vectors, "int4")
    with pytest.raises(UsageError, match="queries of 5 components for vectors of 4"):
        similarity(random_units(1, 5), quantise(vectors, "int8"))
    with pytest.raises(UsageError, match="ranges with float16"):
        quantise(vectors, "float16", sign_ranges(4))
    with pytest.raises(UsageError, match=r"need finite float32 \[2, 4\] with low <= high"):
        quantise(vectors, "int8", sign_ranges(5))
    with pytest.raises(UsageError, match="low <= high"):
        quantise(vectors, "binary", sign_ranges(4)[::-1])
    with pytest.raises(UsageError, match="no vectors to learn ranges from"):
        quantise(vectors[:0], "int8")
    with pytest.raises(UsageError, match="ranges for float32: choose int8 or binary"):
        ranges_of(vectors, "float32")
    with pytest.raises(UsageError, match="spare -1"):
        ranges_of(vectors, spare=-1)
    with pytest.raises(UsageError, match="dimension 0"):
        sign_ranges(0)


@pytest.mark.parametrize("precision", LEARNED)
def test_a_row_that_ranges_cannot_hold_is_refused(precision) -> None:
    """The sample moves along one dimension only; what lies across it would be nothing."""
    sample = np.array([[1.0, 0.0], [-1.0, 0.0]], np.float32)
    if precision == "int8":
        sample = np.array([[-1e-4, 0.0], [1e-4, 0.0]], np.float32)
        ranges = sample
    else:
        ranges = ranges_of(sample, "binary")
    rows_ND = np.array([[0.0, 1.0]], np.float32)
    with pytest.raises(UsageError, match="row 0 is lost in these ranges"):
        quantise(rows_ND, precision, ranges)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"dimension": 5}, r"binary codes are uint8 \[3, 2\], not uint8 \[N, 1\]"),
        ({"precision": "int8"}, "int8 codes are uint8"),
        ({"ranges_2D": None}, "ranges are for int8 and binary, only"),
        ({"scales_N": None}, "scales are for binary, only"),
        ({"scales_N": np.ones(2, np.float32)}, r"scales are float32 \[2\]"),
        ({"scales_N": np.full(3, np.nan, np.float32)}, "not finite float32"),
        ({"codes_N": np.full((3, 2), 255, np.uint8)}, "bits beyond the last dimension"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(changes, sentence) -> None:
    compact = quantise(random_units(3, 9), "binary")
    with pytest.raises(UsageError, match=sentence):
        replace(compact, **changes)
