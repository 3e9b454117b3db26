"""Interpolated weights: exact ends, a naive middle, a folder that loads, and what does not fit."""

import math

import numpy as np
import pytest
import torch

from kinoscope import Embedder
from kinoscope.backbones.interpolation import interpolate
from kinoscope.backbones.loading import load_backbone
from kinoscope.backbones.mini import untrained_mini
from kinoscope.backbones.mini_folder import save_mini
from kinoscope.backbones.options import LoadOptions
from kinoscope.errors import UsageError
from tests.tiny import tiny
from tests.tiny_mini import as_if_trained
from tests.training.tiny_recipes import SAMPLING, weights

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two models of one family with other weights, and one of another."""
    root = tmp_path_factory.mktemp("models")
    for name, family, seed in (("a", "qwen2_vl", 0), ("b", "qwen2_vl", 1), ("c", "smolvlm", 0)):
        tiny(family, root / name, seed=seed)
    return root


def load(folders, name: str, **options):
    return load_backbone(str(folders / name), LoadOptions(**options))[0]


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_each_weight_is_on_the_line_and_the_ends_are_exact(folders, share) -> None:
    one, other = load(folders, "a"), load(folders, "b")
    base, tuned = weights(one), weights(other)
    interpolate(one, other, share)
    assert all(torch.equal(values, base[name]) for name, values in weights(one).items())
    for name, values in weights(other).items():
        naive = base[name].double() + share * (tuned[name].double() - base[name].double())
        torch.testing.assert_close(values.double(), naive, rtol=1e-5, atol=1e-6)
        ends = {0.0: base, 1.0: tuned}
        if share in ends:
            assert torch.equal(values, ends[share][name])


@pytest.mark.parametrize("share", [0.1, 0.7])
def test_what_both_have_stays_bit_for_bit_also_in_sixteen_bits(folders, share) -> None:
    one, other = load(folders, "a", dtype="bfloat16"), load(folders, "a", dtype="bfloat16")
    before = weights(other)
    interpolate(one, other, share)
    assert all(torch.equal(values, before[name]) for name, values in weights(other).items())


@pytest.mark.parametrize("share", [-0.1, 1.5, math.nan, math.inf])
def test_a_share_off_the_line_is_refused(folders, share) -> None:
    one = load(folders, "a")
    with pytest.raises(UsageError, match=r"share .*: choose 0, the base, to 1, the tuned model"):
        interpolate(one, one, share)


def test_models_that_do_not_belong_together_are_refused(folders, mini_set_up) -> None:
    one = load(folders, "a")
    with pytest.raises(UsageError, match=r"has the family 'Qwen2VL', .* 'SmolVLM': give a model"):
        interpolate(one, load(folders, "c"), 0.5)
    with pytest.raises(UsageError, match=r"has the head 'last', .* 'last of layer 2': give a"):
        interpolate(one, load(folders, "b", layer=2), 0.5)
    with pytest.raises(UsageError, match=r"has the prompts 'one word', .* 'instruction'"):
        interpolate(one, load(folders, "b", template="instruction"), 0.5)
    small, large = (untrained_mini(mini_set_up, layers=layers) for layers in (1, 2))
    with pytest.raises(UsageError, match=r"only mini has model\.layers\.1\..*: give a model and"):
        interpolate(small, large, 0.5)
    wide = load(folders, "b")
    norm = wide.checkpoint.model.model.language_model.norm
    norm.weight = torch.nn.Parameter(torch.ones(3))
    with pytest.raises(UsageError, match=r"norm\.weight is \[64\] in .*, and \[3\] in"):
        interpolate(one, wide, 0.5)


def test_weights_that_are_not_finite_are_refused_and_nothing_moves(folders) -> None:
    one, other = load(folders, "a"), load(folders, "b")
    with torch.no_grad():
        one.checkpoint.model.model.language_model.norm.weight[0] = torch.nan
    before = weights(other)
    with pytest.raises(UsageError, match="is not finite: train it again"):
        interpolate(one, other, 0.5)
    assert all(torch.equal(values, before[name]) for name, values in weights(other).items())


def test_the_command_writes_a_model_between_that_loads(run, mini_set_up, tmp_path) -> None:
    base = untrained_mini(mini_set_up, layers=2)
    save_mini(base, SAMPLING, tmp_path / "base", form="float16")
    tuned = as_if_trained(untrained_mini(mini_set_up, layers=2))
    with torch.no_grad():
        for name, values in tuned.checkpoint.model.named_parameters():
            if "layers" in name:
                values.mul_(1.1)
    save_mini(tuned, SAMPLING, tmp_path / "tuned", form="float16")
    words = ("interpolate", tmp_path / "base", tmp_path / "tuned", "--to", tmp_path / "between")
    code, out, err = run(*words, "--share", "0.4")
    assert (code, out) == (0, ""), err
    assert err.splitlines()[-1].startswith("0.4 of the way from ")
    one, half, other = (
        Embedder.load(str(tmp_path / name)).encode_query("a dog opens the door")
        for name in ("base", "between", "tuned")
    )
    assert np.linalg.norm(half - one) > 1e-3 and np.linalg.norm(half - other) > 1e-3
    assert Embedder.load(str(tmp_path / "between")).sampling == SAMPLING
    code, _, err = run(*words)
    assert code == 2 and err.endswith("between is there: name a folder that is not\n")
    code, _, err = run(*words[:2], tmp_path / "tuned", "--to", tmp_path / "x", "--share", "2")
    assert code == 2 and "share 2.0: choose 0, the base, to 1" in err
    assert not (tmp_path / "x").exists()
