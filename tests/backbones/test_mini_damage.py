"""A folder of `mini` that is damaged, foreign or hostile: one sentence, and nothing is run."""

import json
from pathlib import Path

import numpy as np
import pytest

from kinoscope import libraries, mini_weights
from kinoscope.backbones import mini_folder
from kinoscope.backbones.mini_folder import load_mini
from kinoscope.backbones.options import LoadOptions
from kinoscope.errors import SetupError, UsageError

pytestmark = pytest.mark.usefixtures("mini_set_up")

LEAVE = "model.connector.leave.weight"


def refusal(folder: Path, match: str, **options) -> None:
    """The folder is refused in one sentence."""
    with pytest.raises(UsageError, match=match) as raised:
        load_mini(folder, LoadOptions(**options))
    said = str(raised.value)
    assert "\n" not in said and len(said) < 500, said


def edit_json(folder: Path, name: str, **values) -> None:
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def edit_weights(folder: Path, change) -> None:
    """Changes the weights, and the hash that tells of it."""
    files, path = libraries.imported("safetensors.torch"), folder / "learned.safetensors"
    weights = files.load_file(path)
    change(weights)
    files.save_file({name: values.clone() for name, values in weights.items()}, path)
    edit_json(folder, "mini.json", learned=mini_folder.sha256_of(path))


DAMAGES = {
    "no settings": (lambda f: (f / "mini.json").unlink(), "lacks mini.json: copy the whole folder"),
    "no weights": (lambda f: (f / "learned.safetensors").unlink(), "lacks learned.safetensors: c"),
    "cut settings": (lambda f: (f / "mini.json").write_text("{"), "cannot be read as JSON"),
    "listed settings": (lambda f: (f / "mini.json").write_text("[1]"), "is no JSON object"),
    "huge settings": (
        lambda f: (f / "mini.json").write_text(" " * 2**21),
        r"mini.json has 2097152 bytes: copy the whole folder again",
    ),
    "huge config": (lambda f: (f / "config.json").write_text(" " * 2**21), "has 2097152 bytes"),
    "edition": (
        lambda f: edit_json(f, "mini.json", edition=2),
        "is of edition 2, and this version of Kinoscope reads 1: save it again",
    ),
    "foreign base": (
        lambda f: edit_json(f, "mini.json", base="0" * 64),
        "was trained on other base files than those of this version: save it again",
    ),
    "form": (lambda f: edit_json(f, "mini.json", form="int4"), "mini.json has the form 'int4'"),
    "other form": (
        lambda f: edit_json(f, "mini.json", form="float16"),
        r"learned.safetensors does not fit mini: it has unknown weights \(model.connector.*scale",
    ),
    "layers": (
        lambda f: edit_json(f, "mini.json", layers=1),
        r"config.json has 2 layers, and mini.json 1: copy the whole folder again",
    ),
    "many layers": (
        lambda f: [
            edit_json(f, "mini.json", layers=10**9),
            edit_json(f, "config.json", num_hidden_layers=10**9),
        ],
        "layers 1000000000: SmolLM2 has 3",
    ),
    "another number of layers": (
        lambda f: [
            edit_json(f, "mini.json", layers=3),
            edit_json(f, "config.json", num_hidden_layers=3),
        ],
        r"it lacks weights \(model.layers.2.input_layernorm.weight, .* and 6 more\); copy",
    ),
    "no number": (lambda f: edit_json(f, "mini.json", layer=None), "mini.json has the layer None"),
    "truth": (lambda f: edit_json(f, "mini.json", layer=True), "mini.json has the layer True"),
    "template": (lambda f: edit_json(f, "mini.json", template="x"), "template 'x' is unknown"),
    "sampling": (lambda f: edit_json(f, "mini.json", sampling="x"), "sampling 'x' is not one that"),
    "width": (lambda f: edit_json(f, "config.json", width=10**9), "has the width 1000000000: cho"),
    "narrower": (
        lambda f: edit_json(f, "config.json", width=64),
        r"has misshapen weights \(model.connector.convolutions.0.bias is \[128\], not \[64\], mo",
    ),
    "heads": (
        lambda f: edit_json(f, "config.json", num_attention_heads=2),
        "config.json has num_attention_heads 2, and mini has 4: save it again",
    ),
    "positions": (
        lambda f: edit_json(f, "config.json", rope_parameters={"rope_theta": 1.0}),
        "config.json has rope_parameters {'rope_theta': 1.0}, and mini has",
    ),
    "flipped bit": (
        lambda f: flip(f / "learned.safetensors"),
        "learned.safetensors is not what was saved: copy the whole folder again",
    ),
    "cut off": (
        lambda f: cut(f / "learned.safetensors"),
        r"learned.safetensors is damaged or cut off \(.*\): fetch the checkpoint again",
    ),
    "pickle": (
        lambda f: libraries.torch().save({"x": 1}, f / "learned.safetensors"),
        "learned.safetensors is damaged or cut off",
    ),
    "missing name": (
        lambda f: edit_weights(f, lambda weights: weights.pop("model.norm.weight")),
        r"does not fit mini: it lacks weights \(model.norm.weight\); copy the whole folder again",
    ),
    "unknown name": (
        lambda f: edit_weights(f, lambda w: w.update(more=w["model.norm.weight"])),
        r"it has unknown weights \(more\)",
    ),
    "word embeddings": (
        lambda f: edit_weights(f, lambda w: w.update({mini_folder.WORDS: w["model.norm.weight"]})),
        r"it has unknown weights \(model.embed_tokens.weight\)",
    ),
    "shape": (
        lambda f: edit_weights(
            f, lambda w: w.update({"model.norm.weight": w["model.norm.weight"][:3]})
        ),
        r"it has misshapen weights \(model.norm.weight is \[3\], not \[64\]\)",
    ),
    "scales": (
        lambda f: edit_weights(f, lambda w: w.update({LEAVE + ".scale": w[LEAVE + ".scale"][:1]})),
        r"it has misshapen weights \(model.connector.leave.weight.scale is \[1\], not \[128\]\)",
    ),
    "type": (
        lambda f: edit_weights(f, lambda w: w.update({LEAVE: w[LEAVE].float()})),
        r"it has weights of another type \(model.connector.leave.weight is F32\)",
    ),
    "not finite": (
        lambda f: edit_weights(f, lambda w: w["model.norm.weight"][3:].fill_(np.nan)),
        r"has weights that are not finite \(model.norm.weight\): train it again",
    ),
    "endless scale": (
        lambda f: edit_weights(f, lambda w: w[LEAVE + ".scale"][3:].fill_(np.inf)),
        r"has weights that are not finite \(model.connector.leave.weight\): train it again",
    ),
}


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_refused_in_one_sentence(saved_mini, damage):
    change, message = DAMAGES[damage]
    change(saved_mini)
    refusal(saved_mini, message)


def test_without_base_files_the_remedy_is_told(saved_mini, monkeypatch):
    monkeypatch.setattr(mini_folder, "mini_files", mini_weights.mini_files)
    with pytest.raises(SetupError, match=r"the model files are not in .*; run: kinoscope setup m"):
        load_mini(saved_mini)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quantisation": "8bit"}, "quantisation 8bit: mini is small, leave it out"),
        ({"adapter": Path("lora")}, "adapter lora: mini is trained whole, leave it out"),
        ({"device_map": "cuda:0"}, "device_map cuda:0: mini runs on the CPU, leave it out"),
        ({"dtype": "float16"}, "dtype float16 on a CPU: choose float32 or bfloat16"),
        ({"attention": "flash_attention_2"}, "flash_attention_2 needs a GPU: choose sdpa or eager"),
        ({"layer": 3}, "layer 3: choose 1..2, or -1 for the last"),
    ],
)
def test_options_that_it_does_not_take_are_refused(saved_mini, options, message):
    refusal(saved_mini, message, **options)
