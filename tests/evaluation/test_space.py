"""Gap, alignment, uniformity, effective rank, projections: closed forms and naive twins."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.errors import UsageError
from kinoscope.evaluation.space import (
    alignment,
    effective_rank,
    modality_gap,
    projected,
    space_of,
    uniformity,
)

SIZES = {"count": st.integers(2, 12), "width": st.integers(2, 7), "seed": st.integers(0, 999)}


def unit(count: int, width: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def turned(width: int, seed: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((width, width)))[0]


@given(**SIZES)
def test_each_figure_is_that_of_a_naive_twin(count, width, seed) -> None:
    one_ND, other_ND = unit(count, width, seed), unit(count, width, seed + 1)
    one, other = one_ND.astype(float).tolist(), other_ND.astype(float).tolist()
    means = [[sum(row[d] for row in rows) / count for d in range(width)] for rows in (one, other)]
    assert modality_gap(one_ND, other_ND) == pytest.approx(math.dist(*means), abs=1e-9)
    near = sum(math.dist(a, b) ** 2 for a, b in zip(one, other, strict=True)) / count
    assert alignment(one_ND, other_ND) == pytest.approx(near, abs=1e-9)
    pairs = [(a, b) for a in range(count) for b in range(a)]
    spread = sum(math.exp(-2 * math.dist(one[a], one[b]) ** 2) for a, b in pairs) / len(pairs)
    assert uniformity(one_ND) == pytest.approx(math.log(spread), abs=1e-6)
    # the spectrum by another way: eigenvalues of the scatter matrix
    centred_ND = one_ND.astype(float) - np.array(means[0])
    values = np.sqrt(np.linalg.eigvalsh(centred_ND.T @ centred_ND).clip(0))
    shares = values[values > 1e-7] / values[values > 1e-7].sum()
    wanted = math.exp(-sum(p * math.log(p) for p in shares)) if len(shares) else 0.0
    assert effective_rank(one_ND) == pytest.approx(wanted, rel=1e-3, abs=1e-3)


@given(**SIZES)
def test_bounds_hold_and_a_rotation_of_the_space_changes_nothing(count, width, seed) -> None:
    one_ND, other_ND = unit(count, width, seed), unit(count, width, seed + 1)
    found = space_of(one_ND, other_ND)
    assert 0 <= found.gap <= 2 and 0 <= found.alignment <= 4
    assert -8 - 1e-9 <= found.video_uniformity <= 1e-9
    assert 1 - 1e-9 <= found.video_rank <= min(count - 1, width) + 1e-9
    turn_DD = turned(width, seed)
    again = space_of(*((rows @ turn_DD).astype(np.float32) for rows in (one_ND, other_ND)))
    for name, value in vars(found).items():
        assert getattr(again, name) == pytest.approx(value, abs=1e-4), name


@given(width=st.integers(3, 8), seed=st.integers(0, 99))
def test_closed_forms(width, seed) -> None:
    axes_ND = np.eye(width, dtype=np.float32)  # as many directions as there are, at right angles
    assert uniformity(axes_ND) == pytest.approx(-4)  # |x - y|^2 = 2 for all pairs
    assert effective_rank(axes_ND) == pytest.approx(width - 1)
    assert modality_gap(axes_ND, -axes_ND) == pytest.approx(2 / math.sqrt(width))
    assert alignment(axes_ND, -axes_ND) == pytest.approx(4)
    assert alignment(axes_ND, np.roll(axes_ND, 1, axis=0)) == pytest.approx(2)
    cloud_ND = unit(5, width, seed)
    assert modality_gap(cloud_ND, cloud_ND) == alignment(cloud_ND, cloud_ND) == 0
    point_ND = np.repeat(cloud_ND[:1], 4, axis=0)
    assert uniformity(point_ND) == pytest.approx(0, abs=1e-6)
    assert effective_rank(point_ND) == 0
    two_ND = np.concatenate([point_ND, -point_ND])
    assert effective_rank(two_ND) == pytest.approx(1)


def test_clouds_of_unlike_size_have_a_gap() -> None:
    one_ND, other_MD = unit(3, 4, 0), unit(5, 4, 1)
    assert modality_gap(one_ND, other_MD) == modality_gap(other_MD, one_ND) > 0


@given(**SIZES)
def test_a_projection_keeps_as_much_of_the_scatter_as_two_directions_can(
    count, width, seed
) -> None:
    one_ND, other_MD = unit(count, width, seed), unit(count + 3, width, seed + 1)
    flat_N2, flat_M2 = projected(one_ND, other_MD)
    assert flat_N2.shape == (count, 2) and flat_M2.shape == (count + 3, 2)
    both_K2 = np.concatenate([flat_N2, flat_M2])
    assert np.abs(both_K2.mean(axis=0)).max() < 1e-9
    both_KD = np.concatenate([one_ND, other_MD]).astype(float)
    values = np.linalg.eigvalsh(np.cov(both_KD.T, bias=True))[::-1][:2]
    assert np.square(both_K2).mean(axis=0) == pytest.approx(values, abs=1e-9)
    again_N2, _ = projected(-one_ND, -other_MD)  # a mirrored space, the mirrored picture
    assert np.abs(np.abs(again_N2) - np.abs(flat_N2)).max() < 1e-6


def test_what_is_on_a_plane_comes_back_as_it_is_and_the_second_direction_may_be_missing() -> None:
    angles = np.linspace(0, 3, 7)
    plane_ND = np.zeros((7, 5), np.float32)
    plane_ND[:, 1], plane_ND[:, 3] = np.cos(angles), np.sin(angles)
    one_N2, other_N2 = projected(plane_ND, plane_ND)
    assert np.array_equal(one_N2, other_N2)
    apart = np.linalg.norm(plane_ND[:, None] - plane_ND[None], axis=2)
    assert np.linalg.norm(one_N2[:, None] - one_N2[None], axis=2) == pytest.approx(apart, abs=1e-6)
    line_ND = np.array([[1.0], [-1.0]], np.float32)
    assert projected(line_ND, line_ND)[0].tolist() == [[1.0, 0.0], [-1.0, 0.0]]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: space_of(unit(3, 4, 0), unit(4, 4, 0)), r"\[3, 4\] and texts \[4, 4\]: give a te"),
        (lambda: space_of(unit(1, 4, 0), unit(1, 4, 0)), "give a text a video, at least two"),
        (lambda: alignment(unit(3, 4, 0), unit(4, 4, 0)), "give pairs of rows"),
        (lambda: uniformity(unit(1, 4, 0)), "one vector is no cloud: give two or more"),
        (lambda: modality_gap(unit(2, 4, 0), unit(2, 5, 0)), "vectors of 4 and 5 components"),
        (lambda: effective_rank(np.empty((0, 3), np.float32)), r"vectors \[0, 3\]: give rows"),
        (lambda: effective_rank(np.ones(3, np.float32)), r"vectors \[3\]: give rows \[N, D\]"),
    ],
)
def test_what_has_no_figure_is_refused(call, sentence) -> None:
    with pytest.raises(UsageError, match=sentence):
        call()


@pytest.mark.parametrize("spoiled", [np.nan, np.inf, 3.0])
def test_numbers_that_are_no_unit_vectors_are_never_measured(spoiled) -> None:
    rows_ND = unit(3, 4, 0)
    rows_ND[1, 2] = spoiled
    for measure in (uniformity, effective_rank):
        with pytest.raises(AssertionError, match="not finite or not of unit length"):
            measure(rows_ND)
