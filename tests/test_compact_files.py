"""Saved compact vectors: what was written comes back, anything else is one sentence."""

import zipfile

import numpy as np
import pytest

from kinoscope.compact import load_compact, quantise, restore, save_compact, sign_ranges
from kinoscope.errors import SpecMismatch, UsageError
from kinoscope.types import EmbedderSpec
from tests.made_index import random_units

PRECISIONS = ("float32", "float16", "int8", "binary")


def spec(dimension: int, **changes) -> EmbedderSpec:
    values = dict(
        model="m", weights="w", prompts="p", sampling="s", thinking="none", centring="none"
    )
    return EmbedderSpec(**{**values, "dimension": dimension, **changes})


@pytest.mark.parametrize("count", [0, 1, 7])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_file_gives_back_what_was_saved(precision, count, tmp_path) -> None:
    ranges = sign_ranges(13) if precision in ("int8", "binary") else None
    compact = quantise(random_units(7, 13)[:count], precision, ranges)
    path = tmp_path / "library.npz"
    save_compact(compact, path, spec(13))
    again = load_compact(path, spec(13, model="elsewhere"))
    assert (len(again), again.precision, again.dimension) == (count, precision, 13)
    assert again.clipped == compact.clipped
    assert again.codes_N.dtype == compact.codes_N.dtype
    assert np.array_equal(restore(again), restore(compact))
    assert [each.name for each in tmp_path.iterdir()] == ["library.npz"]
    with np.load(path, allow_pickle=False) as opened:
        assert str(opened["fingerprint"]) == spec(13).fingerprint


def test_vectors_of_another_embedder_do_not_load(tmp_path) -> None:
    save_compact(quantise(random_units(2, 4), "int8"), tmp_path / "a.npz", spec(4))
    with pytest.raises(SpecMismatch, match=r"! weights: w \| other"):
        load_compact(tmp_path / "a.npz", spec(4, weights="other"))


def test_a_damaged_file_is_one_sentence(tmp_path) -> None:
    path = tmp_path / "a.npz"
    save_compact(quantise(random_units(40, 16), "binary"), path, spec(16))
    data = path.read_bytes()
    for length in (0, 1, 30, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(UsageError, match=r"a\.npz holds no compact vectors .*save them again"):
            load_compact(path, spec(16))
    with pytest.raises(UsageError, match=r"no vectors at .*: save some first"):
        load_compact(tmp_path / "absent.npz", spec(16))


def changed(path, **values) -> None:
    with np.load(path, allow_pickle=False) as opened:
        held = {name: opened[name] for name in opened.files}
    np.savez(path, **{**held, **values})


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"codes": np.array([object()])}, "Object arrays cannot be loaded"),
        ({"codes": np.zeros((2, 3), np.int8)}, r"int8 codes are int8 \[2, 3\]"),
        ({"ranges": np.zeros((2, 9), np.float32)}, "ranges are float32"),
        ({"precision": np.array("int4")}, "precision 'int4'"),
        ({"fingerprint": np.array("0" * 16)}, "spec and fingerprint differ"),
        ({"spec": np.array("[" * 10**5)}, "recursion|Expecting"),
        ({"format": np.array(2)}, "a later version wrote it"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path, values, reason) -> None:
    path = tmp_path / "a.npz"
    save_compact(quantise(random_units(2, 4), "int8"), path, spec(4))
    changed(path, **values)
    with pytest.raises(UsageError, match=reason):
        load_compact(path, spec(4))


def test_a_file_that_would_unpack_to_more_than_itself_is_refused(tmp_path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("codes.npy", b"\0" * 10**6)
    with pytest.raises(UsageError, match="compressed"):
        load_compact(path, spec(4))


def test_a_file_needs_its_suffix_and_a_spec_of_its_dimension(tmp_path) -> None:
    compact = quantise(random_units(2, 4), "int8")
    with pytest.raises(UsageError, match=r"name it NAME\.npz"):
        save_compact(compact, tmp_path / "a", spec(4))
    with pytest.raises(UsageError, match="vectors of 4 components with a spec of 5"):
        save_compact(compact, tmp_path / "a.npz", spec(5))
