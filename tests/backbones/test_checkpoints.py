"""Adapters merged into checkpoints of every family, and checkpoints saved whole."""

import json
import resource
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kinoscope import libraries
from kinoscope.backbones.checkpoints import save_checkpoint
from kinoscope.backbones.families import family_of
from kinoscope.backbones.loading import DEFAULT_SAMPLING, load_backbone
from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.options import LoadOptions
from kinoscope.embedder import Embedder
from kinoscope.errors import UsageError
from kinoscope.prompts import CHAT
from kinoscope.sampling import SamplingConfig
from kinoscope.types import Content
from tests.backbones.checks import cosine, vectors
from tests.backbones.plain import clip
from tests.tiny import FAMILIES, moving_frames

CONTENTS = (
    Content(text="a fox runs"),
    Content(clip=clip(1, 56, 84, 0), still=True),
    Content(clip=clip(4, 56, 84, 1)),
    Content(clip=clip(4, 56, 84, 1), text="at night"),
)
ATTENTION = r".*layers\.\d+\.self_attn\.[qv]_proj"  # of the decoder, and of some towers


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KINOSCOPE_CACHE", str(tmp_path / "cache"))


def plain_model(folder: Path):
    library = libraries.transformers()
    kind = json.loads((folder / "config.json").read_text())["model_type"]
    model_class = getattr(library, family_of(kind).model_class)
    return model_class.from_pretrained(folder, dtype=libraries.torch().float32).eval()


def adapter(folder: Path, to: Path, *, alone: bool = False, **settings):
    """Trains nothing, but saves an adapter with strong weights; returns the model that wears it."""
    torch, peft = libraries.torch(), libraries.imported("peft")
    model = plain_model(folder)
    decoder = getattr(model.model, "language_model", None) or model.model.text_model
    fields = {"r": 4, "lora_alpha": 16, "target_modules": ATTENTION, **settings}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)
        worn = peft.get_peft_model(decoder if alone else model, peft.LoraConfig(**fields)).eval()
    noise = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, values in worn.named_parameters():
            if "lora_" in name or "modules_to_save" in name:
                values.add_(0.2 * torch.randn(values.shape, generator=noise))
    worn.save_pretrained(to)
    return model


def edit_adapter(folder: Path, change) -> None:
    path = folder / "adapter_model.safetensors"
    weights = libraries.imported("safetensors.torch").load_file(path)
    libraries.imported("safetensors.torch").save_file(change(weights), path)


def edit_settings(folder: Path, **values) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def load(folder: Path, **options) -> MLLM:
    """On one thread: at this size more of them only wait for each other."""
    return load_backbone(str(folder), LoadOptions(**options), threads=1)[0]


def wearing(backbone: MLLM, model) -> MLLM:
    """The same, of a model with the layers of an adapter beside its own weights."""
    return MLLM(replace(backbone.checkpoint, model=model), LoadOptions())


@pytest.mark.parametrize("alone", [False, True], ids=["whole", "language model"])
@pytest.mark.parametrize("family", FAMILIES)
def test_merged_vectors_are_those_of_the_model_that_wears_the_adapter(
    checkpoint, tmp_path, family, alone
):
    folder = checkpoint(family)
    content = (folder / "model.safetensors").read_bytes()
    worn = adapter(folder, tmp_path / "lora", alone=alone)
    bare, merged = load(folder), load(folder, adapter=tmp_path / "lora")
    wanted = vectors(wearing(bare, worn), CONTENTS)
    for found_D, wanted_D in zip(vectors(merged, CONTENTS), wanted, strict=True):
        assert cosine(found_D, wanted_D) >= 0.99999
    assert max(map(cosine, vectors(bare, CONTENTS), wanted)) < 0.999, "the adapter changes nothing"
    assert merged.weights != bare.weights
    assert (folder / "model.safetensors").read_bytes() == content, "the base itself has changed"
    assert not [name for name, _ in merged.checkpoint.model.named_parameters() if "lora" in name]


@pytest.mark.parametrize(
    "settings",
    [
        {"use_dora": True},
        {"use_rslora": True, "alpha_pattern": {r"layers\.1\.self_attn\.q_proj": 64}},
        {"modules_to_save": ["norm"], "rank_pattern": {"v_proj": 2}},
        {"task_type": "FEATURE_EXTRACTION"},
        {"target_modules": "all-linear", "bias": "none"},
    ],
    ids=["dora", "rslora, alphas", "ranks, saved modules", "task", "all linear"],
)
def test_every_kind_of_lora_is_merged(checkpoint, tmp_path, settings):
    folder = checkpoint("qwen2_vl")
    worn = adapter(folder, tmp_path / "lora", alone=True, **settings)
    wanted = vectors(wearing(load(folder), worn), CONTENTS)
    found = vectors(load(folder, adapter=tmp_path / "lora"), CONTENTS)
    assert min(map(cosine, found, wanted)) >= 0.99999


@pytest.mark.parametrize(
    ("family", "alone", "old"),
    [
        ("qwen2_vl", True, {"base_model.model.": "base_model.model.model."}),
        (
            "qwen2_vl",
            False,
            {"model.model.language_model.": "model.model.", "model.model.visual.": "model.visual."},
        ),
        ("internvl", False, {"model.model.language_model.": "model.language_model.model."}),
    ],
    ids=["with head", "Qwen2-VL before 4.52", "LLaVA before 4.52"],
)
def test_names_of_older_versions_are_understood(checkpoint, tmp_path, family, alone, old):
    folder = checkpoint(family)
    targets = r".*(qkv|layers\.\d+\.self_attn\.v_proj)" if family == "qwen2_vl" else ["v_proj"]
    adapter(folder, tmp_path / "new", alone=alone, target_modules=targets)
    wanted = vectors(load(folder, adapter=tmp_path / "new"), CONTENTS)

    def renamed(weights):
        for new, then in old.items():
            weights = {name.replace(new, then, 1): values for name, values in weights.items()}
        if family == "internvl":
            tower = "base_model.model.model.vision_tower."
            then = "base_model.model.vision_tower."
            weights = {name.replace(tower, then): values for name, values in weights.items()}
        return weights

    edit_adapter(tmp_path / "new", renamed)
    found = vectors(load(folder, adapter=tmp_path / "new"), CONTENTS)
    assert all(np.array_equal(one, other) for one, other in zip(found, wanted, strict=True))


def every(weights, *, name=lambda name: name, value=lambda value: value):
    return {name(old): value(values) for old, values in weights.items()}


FIRST = r"base_model\.model\.model\.language_model\.layers\.0\.self_attn\.q_proj\.lora_A"


@pytest.mark.parametrize(
    ("settings", "change", "message"),
    [
        ({"peft_type": "IA3"}, None, "is of the kind IA3: supported is LORA$"),
        (
            {"r": 8},
            None,
            r"for .*qwen3_vl, Qwen3VL\w+\) does not fit: it has misshapen weights \(b",
        ),
        ({"target_modules": ["layers.0.self_attn.q_proj"]}, None, "does not fit: it has unknown w"),
        ({"target_modules": "q_proj"}, None, r"settings that PEFT does not take \(Target modules"),
        ({"r": "many"}, None, r"settings that PEFT does not take \(.*\): save it again$"),
        ({}, lambda w: dict(list(w.items())[1:]), rf"it lacks weights \({FIRST}\.weight\)$"),
        (
            {},
            lambda w: every(w, name=lambda name: name.replace("layers.3", "layers.9")),
            r"Qwen3VL\w+, which has no model\.language_model\.layers\.9\..*: name its own base$",
        ),
        ({}, lambda w: every(w, value=lambda v: v * np.nan), "weights that are not finite: train"),
    ],
    ids=["kind", "rank", "fewer", "no target", "no number", "missing", "other modules", "nan"],
)
def test_an_adapter_that_does_not_fit_says_what(checkpoint, tmp_path, settings, change, message):
    adapter(checkpoint("qwen3_vl"), tmp_path / "lora")
    edit_settings(tmp_path / "lora", **settings)
    edit_adapter(tmp_path / "lora", change or dict)
    with pytest.raises(UsageError, match=message) as raised:
        load(checkpoint("qwen3_vl"), adapter=tmp_path / "lora")
    assert str(raised.value).count("\n") == 0


@pytest.mark.parametrize("alone", [False, True])
def test_an_adapter_of_another_family_is_refused_though_its_shapes_fit(checkpoint, tmp_path, alone):
    adapter(checkpoint("qwen2_5_vl"), tmp_path / "lora", alone=alone, target_modules=["o_proj"])
    with pytest.raises(
        UsageError, match=r"is for the family qwen2_5_vl \(.*\), and this is qwen2_"
    ):
        load(checkpoint("qwen2_vl"), adapter=tmp_path / "lora")


def test_only_safetensors_are_read_of_an_adapter(checkpoint, tmp_path):
    folder, lora = checkpoint("qwen2_vl"), tmp_path / "lora"
    adapter(folder, lora)
    weights = lora / "adapter_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    with pytest.raises(UsageError, match=r"adapter_model.safetensors is damaged or cut off"):
        load(folder, adapter=lora)
    weights.unlink()
    with pytest.raises(UsageError, match=r"has no weights: save them as adapter_model.safetensors"):
        load(folder, adapter=lora)
    libraries.torch().save({}, lora / "adapter_model.bin")
    with pytest.raises(UsageError, match=r"as a pickle, which may run code: save them as adapter_"):
        load(folder, adapter=lora)
    (lora / "adapter_config.json").write_text("[")
    with pytest.raises(UsageError, match=r"adapter_config.json cannot be read as JSON"):
        load(folder, adapter=lora)
    for absent in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UsageError, match=r"holds no adapter_config.json: name a PEFT adapter"):
            load(folder, adapter=absent)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_checkpoint_gives_the_same_vectors_without_options(checkpoint, tmp_path, family):
    adapter(checkpoint(family), tmp_path / "lora")
    options = LoadOptions(adapter=tmp_path / "lora", layer=2, template="one word")
    sampling = SamplingConfig(fps=4, min_frames=3, side_px=None, max_pixels=64 * 64, clip_frames=3)
    backbone, _ = load_backbone(str(checkpoint(family)), options, sampling=sampling, threads=1)
    embedder = Embedder(backbone, sampling=sampling)
    save_checkpoint(embedder.backbone, embedder.sampling, tmp_path / "a" / "saved")
    again = Embedder.load(str(tmp_path / "a" / "saved"))
    assert again.sampling == sampling
    assert replace(again.spec, weights="") == replace(embedder.spec, weights="")
    video = moving_frames(5, 72, 96, 0)
    assert np.array_equal(again.encode_document(video), embedder.encode_document(video))
    assert np.array_equal(again.encode_query("a fox"), embedder.encode_query("a fox"))
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["saved"]


@pytest.mark.parametrize("family", FAMILIES)
def test_plain_transformers_loads_a_saved_checkpoint_and_it_answers(checkpoint, tmp_path, family):
    library, torch = libraries.transformers(), libraries.torch()
    backbone = load(checkpoint(family))
    save_checkpoint(backbone, DEFAULT_SAMPLING, tmp_path / "saved")
    model = library.AutoModelForImageTextToText.from_pretrained(tmp_path / "saved")
    processor = library.AutoProcessor.from_pretrained(tmp_path / "saved")
    original = plain_model(checkpoint(family)).state_dict()
    assert original.keys() == model.state_dict().keys()
    assert all(torch.equal(original[name], values) for name, values in model.state_dict().items())
    made = type(backbone.checkpoint.family)(processor, DEFAULT_SAMPLING.max_pixels)
    plain = MLLM(replace(backbone.checkpoint, model=model.eval(), family=made), LoadOptions())
    asked = [Content(clip=clip(2, 56, 84, 0), text="what happens?"), Content(text="why?")]
    answers = plain.generate(asked, max_new_tokens=6)
    assert answers == backbone.generate(asked, max_new_tokens=6)
    assert len(set(answers)) == 2


def test_a_folder_with_files_is_left_alone_and_an_empty_one_is_used(checkpoint, tmp_path):
    backbone = load(checkpoint("qwen2_vl"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "diary.txt").write_text("dear")
    (tmp_path / "file").write_text("dear")
    for name in ("full", "file"):
        with pytest.raises(UsageError, match=f"{name} is there already: name a folder that is not"):
            save_checkpoint(backbone, DEFAULT_SAMPLING, tmp_path / name)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["diary.txt"]
    (tmp_path / "empty").mkdir()
    save_checkpoint(backbone, DEFAULT_SAMPLING, tmp_path / "empty")
    assert (tmp_path / "empty" / "model.safetensors").exists()


def test_a_disk_that_refuses_leaves_nothing(checkpoint, tmp_path):
    backbone = load(checkpoint("qwen2_vl"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(UsageError, match=r"cannot write .*saved \(.+\): free space there, or"):
            save_checkpoint(backbone, DEFAULT_SAMPLING, tmp_path / "saved")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == []
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot write .*Not a directory.*name another folder$"):
        save_checkpoint(backbone, DEFAULT_SAMPLING, tmp_path / "file" / "saved")


def test_what_could_not_be_given_back_is_not_saved(checkpoint, tmp_path):
    backbone = load(checkpoint("qwen2_vl"))
    made = backbone.checkpoint
    others = (
        (replace(made, pooling="mean"), "pooling of sentence-transformers: save it in that form"),
        (replace(made, truncate_dim=8), "pooling of sentence-transformers: save it in that form"),
        (replace(made, template=CHAT), "prompts or pooling of sentence-transformers"),
    )
    for other, message in others:
        with pytest.raises(UsageError, match=message):
            save_checkpoint(MLLM(other, LoadOptions()), DEFAULT_SAMPLING, tmp_path / "saved")
    made.model.is_quantized = True  # as bitsandbytes leaves it
    with pytest.raises(UsageError, match=r"is quantised, so .*: load it without quantisation to"):
        save_checkpoint(backbone, DEFAULT_SAMPLING, tmp_path / "saved")

    class Concepts:
        model = "concepts"

    with pytest.raises(
        UsageError, match="model 'concepts' is no checkpoint: save a multimodal LLM"
    ):
        save_checkpoint(Concepts(), DEFAULT_SAMPLING, tmp_path / "saved")
    assert not (tmp_path / "saved").exists()
