"""What was learned of the small multimodal LLM, kept in a folder and loaded: the same again."""

import json
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kinoscope import Embedder, libraries
from kinoscope.backbones import mini_folder
from kinoscope.backbones.loading import load_backbone
from kinoscope.backbones.mini import SAMPLING, load_tokenizer, make_config, untrained_mini
from kinoscope.backbones.mini_folder import load_mini, save_mini
from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.options import LoadOptions
from kinoscope.errors import SetupError, UsageError
from kinoscope.sampling import SamplingConfig
from kinoscope.types import Content
from kinoscope.weights import SIDE_PX
from tests.backbones.checks import cosine, vectors
from tests.tiny import moving_frames
from tests.tiny_mini import as_if_trained

pytestmark = pytest.mark.usefixtures("mini_set_up")

LEAST = {"float16": 0.99999, "int8": 0.999}


def contents(backbone):
    frames = [moving_frames(count, SIDE_PX, SIDE_PX, count) for count in (6, 3, 1)]
    long, short, one = (backbone.vision(some) for some in frames)
    return [
        Content(text="a door opens"),
        Content(clip=long),
        Content(clip=short, text="make it night"),
        Content(clip=one, still=True),
        Content(text="the door opens, then the door closes and a fox runs away", role="query"),
    ]


def least_cosine(one, other):
    pairs = zip(vectors(one, contents(one)), vectors(other, contents(other)), strict=True)
    return min(cosine(*pair) for pair in pairs)


def saved(backbone: MLLM, folder: Path, **named):
    save_mini(backbone, SAMPLING, folder, **named)
    return load_mini(folder)[0]


@pytest.mark.parametrize("form", ["float16", "int8"])
def test_a_loaded_folder_gives_the_vectors_that_were_saved(trained_mini, tmp_path, form):
    sampling = replace(SAMPLING, fps=4.0)
    save_mini(trained_mini, sampling, tmp_path / "saved", form=form)
    again, found = load_mini(tmp_path / "saved")
    assert found == sampling
    assert (again.head, again.prompts) == (trained_mini.head, trained_mini.prompts)
    assert least_cosine(again, trained_mini) >= LEAST[form]
    network = again.checkpoint.model
    assert not network.training
    assert {str(values.dtype) for values in network.parameters()} == {"torch.float32"}
    third, _ = load_mini(tmp_path / "saved")
    assert third.weights == again.weights
    assert least_cosine(again, third) >= 0.9999999


def test_float16_says_the_same_words(trained_mini, tmp_path):
    asked = contents(trained_mini)[1:3]
    answers = saved(trained_mini, tmp_path / "saved", form="float16").generate(asked)
    assert answers == trained_mini.generate(asked)


def test_wide_matrices_take_a_byte_a_weight_and_word_embeddings_nothing(trained_mini, tmp_path):
    learned = {
        name: values
        for name, values in trained_mini.checkpoint.model.named_parameters()
        if "embed_tokens" not in name
    }
    wide = {name for name, v in learned.items() if v.ndim >= 2 and v.numel() >= 2**14}
    assert {name.split(".")[2] for name in wide} == {"convolutions", "enter", "hidden", "leave"}
    numbers = sum(learned[name].numel() for name in wide)
    small = sum(values.numel() for values in learned.values()) - numbers
    for form, most in (("int8", 1.01), ("float16", 2)):
        save_mini(trained_mini, SAMPLING, tmp_path / form, form=form)
        file = tmp_path / form / "learned.safetensors"
        with libraries.imported("safetensors").safe_open(file, "pt") as stored:
            kinds = {name: stored.get_slice(name).get_dtype() for name in stored.keys()}  # noqa: SIM118
        kept = {"int8": "I8", "float16": "F16"}[form]
        assert {name for name, kind in kinds.items() if kind == kept} == wide
        assert {name for name, kind in kinds.items() if kind == "F32"} >= set(learned) - wide
        assert file.stat().st_size <= most * numbers + 4 * small + 20_000


def test_a_folder_tells_how_it_embeds_and_no_place(mini_base, trained_mini, tmp_path):
    save_mini(trained_mini, SAMPLING, tmp_path / "first", form="float16")
    chosen = LoadOptions(layer=1, template="instruction")
    backbone, _ = load_mini(tmp_path / "first", chosen)
    again = saved(backbone, tmp_path / "saved")
    assert (again.head, again.checkpoint.template.name) == ("last of layer 1", "instruction")
    assert least_cosine(again, backbone) >= LEAST["int8"]
    back, _ = load_mini(tmp_path / "saved", LoadOptions(layer=-1, template="one word"))
    assert (back.head, back.checkpoint.template.name) == ("last", "one word")
    for path in (tmp_path / "saved").glob("*.json"):
        assert str(tmp_path) not in path.read_text()
        assert str(mini_base.language_model) not in path.read_text()


def test_a_connector_of_another_width_is_loaded_as_wide(mini_base, tmp_path):
    backbone = untrained_mini(mini_base, layers=1)
    torch, kind = libraries.torch(), type(backbone.checkpoint.model)
    torch.manual_seed(3)
    config = make_config(mini_base, load_tokenizer(mini_base), layers=1, width=32)
    words = backbone.checkpoint.model.get_input_embeddings()
    network = kind(config).eval()
    network.set_input_embeddings(words)
    network.tie_weights()
    made = as_if_trained(MLLM(replace(backbone.checkpoint, model=network), LoadOptions()))
    again = saved(made, tmp_path / "saved")
    assert again.checkpoint.model.model.connector.enter.out_features == 32
    assert least_cosine(again, made) >= LEAST["int8"]


def test_its_hash_tells_weights_form_and_rounding_but_no_place(trained_mini, saved_mini, tmp_path):
    hashes = {"int8": load_mini(saved_mini)[0].weights}
    hashes["float16"] = saved(trained_mini, tmp_path / "half", form="float16").weights
    hashes["bfloat16"] = load_mini(saved_mini, LoadOptions(dtype="bfloat16"))[0].weights
    other, _ = load_mini(saved_mini)
    with libraries.torch().no_grad():
        other.checkpoint.model.model.norm.weight[0] += 0.5
    hashes["other"] = saved(other, tmp_path / "other").weights
    assert len(set(hashes.values())) == len(hashes)
    assert hashes["bfloat16"] == f"{hashes['int8']} bfloat16"
    saved_mini.rename(tmp_path / "moved")
    moved, _ = load_mini(tmp_path / "moved")
    assert (moved.weights, moved.model) == (hashes["int8"], str(tmp_path / "moved"))


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_options_of_precision_and_attention_work(saved_mini, attention):
    exact, _ = load_mini(saved_mini)
    options = LoadOptions(dtype="bfloat16", attention=attention)
    rounded, _ = load_mini(saved_mini, options, threads=1)
    network = rounded.checkpoint.model
    assert str(network.dtype) == "torch.bfloat16"
    assert network.get_output_embeddings().weight is network.get_input_embeddings().weight
    assert 0.99 <= least_cosine(exact, rounded) < 0.9999999
    assert len(rounded.generate(contents(rounded), max_new_tokens=3)) == 5


def test_frames_of_another_size_are_no_sampling_for_it(trained_mini, saved_mini, tmp_path):
    small = replace(SAMPLING, side_px=224)
    with pytest.raises(UsageError, match="side_px 224: mini reads 260"):
        save_mini(trained_mini, small, tmp_path / "other")
    with pytest.raises(UsageError, match="side_px None: mini reads 260"):
        load_mini(saved_mini, sampling=replace(small, side_px=None, max_pixels=9999))
    assert load_mini(saved_mini, sampling=SamplingConfig(fps=1.0))[1].fps == 1


def test_another_model_or_form_is_not_saved(trained_mini, checkpoint, tmp_path):
    with pytest.raises(UsageError, match="form 'int4': choose float16 or int8"):
        save_mini(trained_mini, SAMPLING, tmp_path / "saved", form="int4")
    other, _ = load_backbone(str(checkpoint("qwen2_vl")))
    with pytest.raises(UsageError, match="is no mini: save it as a checkpoint"):
        save_mini(other, SAMPLING, tmp_path / "saved")


def test_weights_that_a_folder_could_not_give_back_are_not_saved(mini_base, tmp_path):
    torch, place = libraries.torch(), tmp_path / "saved"
    backbone = untrained_mini(mini_base, layers=1)
    network = backbone.checkpoint.model
    leave = network.model.connector.leave.weight.data
    leave[0, 0] = 1e6
    save_mini(backbone, SAMPLING, tmp_path / "steep", form="int8")
    with pytest.raises(UsageError, match=r"weights \(.*leave.weight\) that float16 cannot hold: t"):
        save_mini(backbone, SAMPLING, place, form="float16")
    for bad in (np.nan, np.inf):
        leave[0, 0] = bad
        with pytest.raises(
            UsageError, match=r"\(model.*leave.weight\) that int8 cannot hold: train"
        ):
            save_mini(backbone, SAMPLING, place, form="int8")
    leave[0, 0] = 0
    network.model.norm.weight.data[0] = np.nan
    with pytest.raises(UsageError, match=r"weights \(model.norm.weight\) that int8 cannot hold"):
        save_mini(backbone, SAMPLING, place)
    with torch.no_grad():
        network.model.embed_tokens.weight[5] += 1
    with pytest.raises(UsageError, match="other word embeddings than its base: train with embed_t"):
        save_mini(backbone, SAMPLING, place)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == ["steep"]


def test_a_folder_with_files_is_left_alone_and_an_empty_one_is_used(trained_mini, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "diary.txt").write_text("dear")
    with pytest.raises(UsageError, match="full is there already: name a folder that is not"):
        save_mini(trained_mini, SAMPLING, tmp_path / "full")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["diary.txt"]
    (tmp_path / "empty").mkdir()
    assert saved(trained_mini, tmp_path / "empty").model == str(tmp_path / "empty")


def test_a_disk_that_refuses_leaves_nothing(trained_mini, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(UsageError, match=r"cannot write .*saved \(.+\): free space there, or"):
            save_mini(trained_mini, SAMPLING, tmp_path / "saved")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == []


def test_the_embedder_loads_a_folder_and_saves_it_again(saved_mini, tmp_path):
    embedder = Embedder.load(str(saved_mini), threads=1)
    assert (embedder.spec.model, embedder.sampling) == (str(saved_mini), SAMPLING)
    embedder.save(tmp_path / "again")
    again = Embedder.load(str(tmp_path / "again"))
    assert replace(again.spec, weights="") == replace(embedder.spec, weights="")
    frames = moving_frames(6, SIDE_PX, SIDE_PX, 0)
    inputs = [{"video": frames}, {"video": frames, "text": "at night"}, {"text": "a door"}]
    found_ND, wanted_ND = again.encode_document(inputs), embedder.encode_document(inputs)
    assert (found_ND * wanted_ND).sum(axis=1).min() >= 0.9999
    assert json.loads((tmp_path / "again" / "mini.json").read_text())["form"] == "float16"


def test_its_name_is_the_folder_that_is_shipped(saved_mini, monkeypatch, tmp_path):
    monkeypatch.setattr(mini_folder, "SHIPPED", tmp_path / "absent")
    with pytest.raises(SetupError, match="this copy of Kinoscope has no trained weights of mini: "):
        Embedder.load("mini")
    monkeypatch.setattr(mini_folder, "SHIPPED", saved_mini)
    embedder = Embedder.load("mini", options=LoadOptions(offline=True))
    assert embedder.spec == Embedder.load(str(saved_mini)).spec
    assert embedder.spec.model == "mini"


def test_the_command_line_indexes_and_searches_with_it(saved_mini, run, video_folder, tmp_path):
    index = ("--index", tmp_path / "index")
    code, _, err = run("index", video_folder, *index, "--model", saved_mini, "--workers", 1)
    assert code == 0, err
    assert f"sampling: {SAMPLING.describe()}" in err
    code, out, err = run("search", "a door opens", *index, "--json", "-k", 3)
    assert code == 0, err
    assert len(out.splitlines()) == 3
