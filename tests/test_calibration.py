"""Probabilities that come true: fits against a naive twin, thresholds by hand, hostile files."""

import json
import math
import signal
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.calibration import Calibration, best_threshold, fitted, fused, sigmoid
from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics import calibration_error, reliability


def cross_entropy(odds_N, fits_N, temperature: float, shift: float) -> float:
    scaled = (odds_N - shift) / temperature
    return float(np.logaddexp(0.0, np.where(fits_N, -scaled, scaled)).mean())


@given(seed=st.integers(0, 200), temperature=st.sampled_from([0.2, 1.0, 7.0]))
def test_the_fit_is_as_good_as_the_best_of_a_fine_grid(seed, temperature) -> None:
    rng = np.random.default_rng(seed)
    odds_N = rng.normal(1.0, 2.0 * temperature, 120)
    fits_N = rng.random(120) < sigmoid((odds_N - 0.5) / temperature)
    if fits_N.all() or not fits_N.any():
        return
    found = cross_entropy(odds_N, fits_N, *fitted(odds_N, fits_N))
    steps = np.geomspace(0.05, 50, 40) * temperature
    shifts = np.linspace(odds_N.min(), odds_N.max(), 40)
    naive = min(cross_entropy(odds_N, fits_N, t, s) for t in steps for s in shifts)
    assert found <= naive + 2e-3


def test_the_truth_is_found_again_and_comes_true() -> None:
    rng = np.random.default_rng(3)
    odds_N = rng.normal(0.0, 6.0, 20_000)
    chances_N = sigmoid((odds_N + 2.0) / 3.0)
    fits_N = rng.random(len(odds_N)) < chances_N
    temperature, shift = fitted(odds_N, fits_N)
    assert temperature == pytest.approx(3.0, abs=0.15)
    assert shift == pytest.approx(-2.0, abs=0.15)
    made = Calibration(model="w", temperature=temperature, shift=shift)
    assert calibration_error(made.probabilities(odds_N), fits_N) < 0.01
    assert calibration_error(sigmoid(odds_N), fits_N) > 0.05, "uncalibrated it is too sure"


@pytest.mark.parametrize("gap", [1.0, 1e6])
def test_kinds_that_separate_stay_finite(gap) -> None:
    odds_N = np.array([-gap, -gap, gap, gap])
    temperature, shift = fitted(odds_N, odds_N > 0)
    chances = sigmoid((odds_N - shift) / temperature)
    assert np.isfinite(chances).all()
    assert chances[2] > 0.95 > 0.05 > chances[0]


def test_odds_that_point_the_wrong_way_tell_nothing() -> None:
    odds_N = np.array([-2.0, -1.0, 1.0, 2.0])
    temperature, shift = fitted(odds_N, odds_N < 0)
    spread = np.ptp(sigmoid((odds_N - shift) / temperature))
    assert spread < 1e-3


@pytest.mark.parametrize(
    ("odds", "fits", "words"),
    [([1.0], [True, False], "one each"), ([1.0, np.nan], [True, False], "finite"),
     ([1.0, 2.0], [True, True], "texts that do not"), ([1.0, 2.0], [False, False], "texts that")],
)  # fmt: skip
def test_what_cannot_be_fitted_is_named(odds, fits, words) -> None:
    with pytest.raises(UsageError, match=words):
        fitted(np.array(odds), np.array(fits))


@given(
    pairs=st.lists(
        st.tuples(st.sampled_from([0.1, 0.2, 0.5, 0.9]), st.booleans()), min_size=2, max_size=12
    )
)
def test_no_other_threshold_is_right_more_often(pairs) -> None:
    chances, fits = np.array([p for p, _ in pairs]), np.array([fit for _, fit in pairs])
    if fits.all() or not fits.any():
        with pytest.raises(UsageError, match="both"):
            best_threshold(chances, fits)
        return

    def right(cut: float) -> float:
        return float((chances[fits] >= cut).mean() + (chances[~fits] < cut).mean())

    found = best_threshold(chances, fits)
    assert 0 <= found <= 1
    tried = np.linspace(0.0, float(chances.max()), 200)
    assert right(found) >= max(map(right, tried)) - 1e-9


def test_fusion_goes_from_one_order_to_the_other() -> None:
    retrieval, matching = np.array([0.30, 0.29, 0.10]), np.array([-9.0, 40.0, 3.0])
    assert fused(retrieval, matching, 1.0).argmax() == 0
    assert fused(retrieval, matching, 0.0).argmax() == 1
    assert fused(retrieval, matching, 0.5).argmax() == 1
    flat = np.full(3, 0.2)
    assert fused(flat, matching, 0.9).argsort().tolist() == [0, 2, 1], "what is equal has no say"
    assert fused(retrieval * 100, matching / 7, 0.3) == pytest.approx(
        fused(retrieval, matching, 0.3)
    )
    for share in (-0.1, 1.1, math.nan):
        with pytest.raises(UsageError, match="share"):
            fused(retrieval, matching, share)


def test_reliability_by_hand() -> None:
    chances, right = np.array([0.05, 0.05, 0.95, 1.0]), np.array([False, True, True, True])
    assert reliability(chances, right) == [
        {"said": 0.05, "was": 0.5, "n": 2},
        {"said": pytest.approx(0.975), "was": 1.0, "n": 2},
    ]
    assert calibration_error(chances, right) == pytest.approx((2 * 0.45 + 2 * 0.025) / 4)
    for wrong in (np.array([1.2]), np.array([np.nan]), np.array([])):
        with pytest.raises(UsageError):
            reliability(wrong, np.zeros(len(wrong), np.bool_))


def test_a_calibration_is_read_as_it_was_written(tmp_path) -> None:
    made = Calibration(model="w0", prior=0.5, temperature=2.5, shift=-1.0, threshold=0.25)
    made.write(tmp_path / "c.json")
    assert Calibration.read(tmp_path / "c.json") == made


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[1]",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        b"\x80\x04K\x01.",  # a pickle
        {"temperature": 0.0},
        {"temperature": "2.0"},
        {"temperature": 1e400},
        {"prior": True},
        {"model": 7},
        {"threshold": 1.5},
        {"more": 1},
    ],
)
def test_any_other_file_is_refused(tmp_path, content) -> None:
    path = tmp_path / "c.json"
    if isinstance(content, dict):
        Calibration(model="w").write(path)
        path.write_text(json.dumps(json.loads(path.read_text()) | content))
    else:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"c\.json is no calibration"):
        Calibration.read(path)
    with pytest.raises(UsageError, match="does not exist"):
        Calibration.read(tmp_path / "none.json")


def test_a_file_is_read_whole_or_refused(tmp_path) -> None:
    """Its beginning alone is no calibration."""
    path = tmp_path / "c.json"
    Calibration(model="w").write(path)
    path.write_text(path.read_text() + " " * 70_000 + "and more")
    with pytest.raises(UsageError, match=r"is no calibration \(more than 65536 bytes"):
        Calibration.read(path)


KILLED = """
import os, signal, sys
from pathlib import Path
from kinoscope.calibration import Calibration

Path.replace = Path.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
Calibration(model="new").write(Path(sys.argv[1]))
"""


def test_a_writer_that_is_killed_before_its_file_is_in_place_leaves_the_old_one(tmp_path) -> None:
    path = tmp_path / "c.json"
    old, new = Calibration(model="old"), Calibration(model="new")
    old.write(path)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    (draft,) = tmp_path.glob("*/c.json")
    assert Calibration.read(draft) == new, "it was killed too early to show anything"
    assert Calibration.read(path) == old
    new.write(path)
    assert Calibration.read(path) == new
