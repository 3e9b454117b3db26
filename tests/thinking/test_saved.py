"""Thinking in a model's folder: given back as it was, and no hostile file passes."""

import hashlib
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from kinoscope import Embedder
from kinoscope.backbones import mini_folder
from kinoscope.backbones.mini import SAMPLING
from kinoscope.backbones.mllm import MLLM
from kinoscope.errors import UsageError
from kinoscope.thinking.config import Thinking
from kinoscope.thinking.halting import Halting
from kinoscope.thinking.kv_former import KVFormer
from kinoscope.thinking.saved import load_learned, save_learned
from kinoscope.thinking.thinker import Thinker
from tests.backbones.checks import SAME, loaded

WEIGHTS = "thinking.safetensors"
TEXTS = ["a door opens", "two dogs run to the left, then a cat sleeps"]


def learned(backbone: MLLM, rule: str = "none,halt:4") -> Thinker:
    torch.manual_seed(0)
    head = KVFormer(backbone.dimension, slots=4, hidden=24)
    halting = Halting(backbone.dimension)
    for values in (*head.parameters(), halting.weight):
        torch.nn.init.normal_(values, std=0.2)
    return Thinker(backbone, Thinking.parse(rule), head, halting)


@pytest.fixture(params=["mini", "qwen2_5_vl"])
def source(request, checkpoint, tiny_mini, mini_set_up) -> Embedder:
    """A model as after training, in memory."""
    if request.param == "mini":
        return Embedder(tiny_mini, sampling=SAMPLING, thinker=learned(tiny_mini))
    backbone = loaded(checkpoint(request.param))
    return Embedder(backbone, thinker=learned(backbone))


@pytest.fixture
def folder(tiny_mini, mini_set_up, tmp_path):
    """A saved mini with thinking, to be damaged."""
    mini_folder.save_mini(tiny_mini, SAMPLING, tmp_path / "saved")
    save_learned(learned(tiny_mini), tmp_path / "saved")
    return tmp_path / "saved"


def test_a_saved_model_thinks_as_before(source, tmp_path):
    source.save(tmp_path / "saved")
    again = Embedder.load(str(tmp_path / "saved"))
    assert again.spec.thinking == source.spec.thinking
    assert again.spec.head == source.spec.head == "kv-former of thoughts"
    for role in ("query", "document"):
        texts = [{"text": text} for text in TEXTS]
        for one, other in zip(source.think(texts, role), again.think(texts, role), strict=True):
            assert (one.steps, one.reason) == (other.steps, other.reason)
            assert float(one.vector_D @ other.vector_D) >= SAME


def test_saved_again_it_is_the_same(folder, tmp_path):
    one = Embedder.load(str(folder))
    one.save(tmp_path / "again")
    assert (tmp_path / "again" / WEIGHTS).read_bytes() == (folder / WEIGHTS).read_bytes()
    assert Embedder.load(str(tmp_path / "again")).spec.thinking == one.spec.thinking


def test_other_rules_and_none_are_a_matter_of_asking(folder):
    own = Embedder.load(str(folder))
    fixed = Embedder.load(str(folder), thinking="fixed:2")
    plain = Embedder.load(str(folder), thinking="none")
    assert fixed.spec.thinking.startswith("latent, fixed at 2; learned ")
    assert fixed.spec.thinking.split("; ")[-1] == own.spec.thinking.split("; ")[-1]
    assert (plain.spec.thinking, plain.spec.head, plain.thinker) == ("none", "last", None)
    assert len({own.spec.fingerprint, fixed.spec.fingerprint, plain.spec.fingerprint}) == 3
    assert own.spec.weights == plain.spec.weights, "those of the model itself"


def test_a_model_that_thinks_without_having_learned_it_is_saved_too(source, tmp_path):
    plain = Embedder(
        source.backbone,
        sampling=source.sampling,
        thinker=Thinker(source.backbone, Thinking.parse("converged:3"), "last"),
    )
    plain.save(tmp_path / "saved")
    assert not (tmp_path / "saved" / WEIGHTS).exists()
    again = Embedder.load(str(tmp_path / "saved"))
    assert (again.spec.thinking, again.spec.head) == (plain.spec.thinking, plain.spec.head)
    np.testing.assert_allclose(again.encode_query(TEXTS), plain.encode_query(TEXTS), atol=5e-3)


def test_a_model_without_thinking_is_saved_without(source, tmp_path):
    Embedder(source.backbone, sampling=source.sampling).save(tmp_path / "saved")
    assert Embedder.load(str(tmp_path / "saved")).thinker is None


def test_weights_that_are_not_finite_are_not_saved(tiny_mini, folder):
    broken = learned(tiny_mini)
    with torch.no_grad():
        broken.halting.weight[0] = float("nan")
    with pytest.raises(UsageError, match=r"not finite \(halting.weight\): train it again"):
        save_learned(broken, folder)


def settings(folder, **changes):
    """Changes the entry of the settings; None takes a field away."""
    path = folder / "mini.json"
    values = json.loads(path.read_text())
    entry = {**values["thinking"], **changes}
    values["thinking"] = {name: value for name, value in entry.items() if value is not None}
    path.write_text(json.dumps(values))


def rewritten(folder, change):
    """Changes the weights, and has the settings name the changed file."""
    state = load_file(folder / WEIGHTS)
    change(state)
    save_file(state, folder / WEIGHTS)
    settings(folder, learned=hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest())


def drop(state):
    del state["kv_former.keys"]


def grow(state):
    state["kv_former.keys"] = torch.zeros(5, 64)


def add(state):
    state["kv_former.more"] = torch.zeros(2)


def shrink(state):
    state["halting.weight"] = state["halting.weight"].half()


def spoil(state):
    state["kv_former.leave.bias"][3] = float("inf")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda f: rewritten(f, drop), r"it lacks weights \(kv_former.keys\)"),
        (lambda f: rewritten(f, grow), r"kv_former.keys is \[5, 64\], not \[4, 64\]"),
        (lambda f: rewritten(f, add), r"it has unknown weights \(kv_former.more\)"),
        (lambda f: rewritten(f, shrink), r"not float32 \(halting.weight\)"),
        (lambda f: rewritten(f, spoil), r"not finite \(kv_former.leave.bias\)"),
        (lambda f: (f / WEIGHTS).unlink(), "lacks thinking.safetensors, against its settings"),
        (lambda f: (f / WEIGHTS).write_bytes(b""), "is damaged or cut off"),
        (lambda f: (f / WEIGHTS).write_bytes(b"\x80\x04junk" * 9), "is damaged or cut off"),
        (lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-8]), "is damaged or cut"),
        (lambda f: settings(f, learned="0" * 64), "is not what was saved"),
        (lambda f: settings(f, learned=""), "lacks thinking.safetensors, against"),
        (lambda f: settings(f, halting=False), r"has unknown weights \(halting.bias, halting.w"),
        (lambda f: settings(f, pooling="mean", halting=False), "has thinking.safetensors, against"),
        (lambda f: settings(f, pooling="max"), "pooling 'max': choose mean or last"),
        (lambda f: settings(f, slots=10**12), "thinking has the slots 1000000000000"),
        (lambda f: settings(f, slots=65_536), r"kv_former.keys is \[4, 64\], not \[65536, 64\]"),
        (lambda f: settings(f, heads=7), "KV-Former heads 7: 64 is no multiple"),
        (lambda f: settings(f, heads=0), "KV-Former heads 0"),
        (lambda f: settings(f, hidden="wide"), "thinking has the hidden 'wide'"),
        (lambda f: settings(f, halting="yes"), "thinking has the halting 'yes'"),
        (lambda f: settings(f, rules=None), "thinking needs the fields"),
        (lambda f: settings(f, extra=1), "thinking needs the fields"),
        (lambda f: settings(f, rules={"query": None}), "give the fields query and document"),
        (lambda f: settings(f, rules={"query": {"a": 1}, "document": None}), "give the fields"),
    ],
)  # fmt: skip
def test_a_damaged_folder_is_one_sentence(folder, damage, sentence):
    damage(folder)
    with pytest.raises(UsageError, match=sentence):
        Embedder.load(str(folder))


def test_other_numbers_of_heads_are_other_weights(folder, tiny_mini):
    settings(folder, heads=4)
    again = load_learned(folder, tiny_mini)
    assert again.describe() != learned(tiny_mini).describe()


def test_weights_of_which_the_settings_say_nothing_are_an_error(folder):
    path = folder / "mini.json"
    values = json.loads(path.read_text())
    del values["thinking"]
    path.write_text(json.dumps(values))
    with pytest.raises(UsageError, match=r"mini.json says nothing of thinking.safetensors"):
        Embedder.load(str(folder))


def test_loading_draws_no_random_numbers(folder, tiny_mini):
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    load_learned(folder, tiny_mini)
    assert torch.rand(4).equal(wanted)
