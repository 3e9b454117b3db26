"""What a checkpoint must be to be loaded, and the sentence that says so where it is not."""

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kinoscope import libraries
from kinoscope.backbones import loading
from kinoscope.backbones.families import FAMILIES as ADAPTERS
from kinoscope.backbones.families import supported
from kinoscope.backbones.loading import checked_family, load_backbone, load_network
from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.options import LoadOptions
from kinoscope.backbones.qwen_vl import Qwen2VL
from kinoscope.errors import KinoscopeError, SetupError, UsageError
from kinoscope.sampling import SamplingConfig
from kinoscope.types import Content
from tests.backbones.checks import vectors
from tests.tiny import FAMILIES, tiny_text_only


@pytest.fixture(autouse=True)
def _own_cache(no_network, tmp_path, monkeypatch):
    """The user's cache stays as it is."""
    monkeypatch.setenv("KINOSCOPE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def whole(checkpoint):
    """A folder with a tiny checkpoint of a family; tests must not change it."""
    return checkpoint


@pytest.fixture
def copy(whole, tmp_path):
    """The same, to be changed."""

    def make(family: str = "qwen2_vl") -> Path:
        return Path(shutil.copytree(whole(family), tmp_path / family))

    return make


def load(model: object, **options) -> MLLM:
    return load_backbone(str(model), LoadOptions(**options), threads=1)[0]


def refusal(model: object, match: str, kind: type[KinoscopeError] = UsageError, **options) -> str:
    """The one sentence with which a model is refused."""
    with pytest.raises(kind, match=match) as raised:
        load(model, **options)
    said = str(raised.value)
    assert "\n" not in said and len(said) < 500, said
    return said


def edit_weights(folder: Path, change) -> None:
    files = libraries.imported("safetensors.torch")
    weights = files.load_file(folder / "model.safetensors")
    change(weights)
    kept = {name: values.clone() for name, values in weights.items()}
    files.save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_found_by_its_config_and_loads(whole, family):
    folder = whole(family)
    assert load(folder, attention="eager").model == str(folder)
    kind = json.loads((folder / "config.json").read_text())["model_type"]
    assert kind in checked_family(folder).model_types
    assert checked_family(folder) in ADAPTERS


def test_other_models_are_told_what_is_supported(copy, tmp_path):
    folder = copy()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "idefics9"}))
    assert refusal(folder, "is of the family idefics9; supported are").endswith(supported())
    assert supported().startswith("qwen2_vl, qwen2_5_vl, qwen3_vl, smolvlm")
    text = tiny_text_only(tmp_path / "text")
    assert refusal(text, r"is a text-only model \(qwen2\): it cannot see video; choose one of")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "holds no config.json: it is no checkpoint of Transformers"),
        (b"{", "config.json cannot be read as JSON: fetch the checkpoint again"),
        (b"\xff\xfe", "config.json cannot be read as JSON: fetch the checkpoint again"),
        (b"[" * 100_000, "config.json cannot be read as JSON: fetch the checkpoint again"),
        (b"[]", "config.json is no JSON object: fetch the checkpoint again"),
        (
            b'{"model_type": "qwen2_vl", "text_config": 3}',
            r"describes no Qwen2VL\w+ \(.*text_config",
        ),
        (b'{"model_type": "qwen2_vl", "image_token_id": ""}', r"no Qwen2VL\w+ \(.*image_token_id"),
    ],
    ids=["absent", "cut", "bytes", "deep", "list", "no text", "no number"],
)
def test_a_config_that_says_nothing_is_refused(copy, content, message):
    folder = copy()
    (folder / "config.json").unlink()
    if content is not None:
        (folder / "config.json").write_bytes(content)
    refusal(folder, message)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "name", ["tokenizer.json", "tokenizer_config.json", "processor_config.json"]
)
def test_an_absent_file_of_the_processor_is_named_with_its_source(copy, family, name):
    folder = copy(family)
    (folder / name).unlink()
    needed = {"processor_config.json": "preprocessor_config.json"}.get(name, name)
    said = refusal(folder, f"lacks {needed}: copy it from ")
    assert said.endswith(checked_family(folder).reference)


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"paligemma", "paligemma2"}))
def test_an_absent_chat_template_is_named_with_its_source(copy, family):
    folder = copy(family)
    (folder / "chat_template.jinja").unlink()
    refusal(
        folder, r"no chat template \(\S+/\S+ has one\): add its chat_template.jinja to the fold"
    )


def test_a_processor_that_cannot_be_read_says_so(copy):
    folder = copy()
    (folder / "tokenizer.json").write_text("{}")
    refusal(
        folder, r"tokenizer or processor that cannot be read \(.*\): copy their files from Qwen"
    )


@pytest.mark.parametrize("family", ["qwen3_vl", "smolvlm"])
def test_a_model_without_video_support_says_so(copy, family, monkeypatch):
    folder = copy(family)
    message = r"is without video support: copy video_preprocessor_config.json from \w+/"
    pictures = SimpleNamespace(tokenizer=None, image_processor=None)
    with monkeypatch.context() as patch:
        patch.setattr(loading, "load_processor", lambda _folder: pictures)
        refusal(folder, message)
    values = json.loads((folder / "processor_config.json").read_text())
    del values["video_processor"]
    (folder / "processor_config.json").write_text(json.dumps(values))
    refusal(folder, message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float16"}, "dtype float16 on a CPU: choose float32 or bfloat16"),
        ({"quantisation": "8bit"}, "8bit weights need a GPU: leave quantisation out"),
        ({"quantisation": "4bit"}, "4bit weights need a GPU: leave quantisation out"),
        ({"attention": "flash_attention_2"}, "flash_attention_2 needs a GPU: choose sdpa or eager"),
        (
            {"device_map": "cuda:99"},
            r"device_map cuda:99: PyTorch sees \d GPUs here; choose another",
        ),
        ({"device_map": "moon"}, "cannot be loaded on moon: "),
        ({"layer": 9}, r"layer 9: choose 1\.\.4, or -1 for the last"),
    ],
)
def test_options_that_do_not_fit_this_machine_or_model_are_refused(whole, options, message):
    if libraries.torch().accelerator.is_available():
        options = {"device_map": "cpu", **options}
    refusal(whole("qwen2_vl"), message, **options)


def test_flash_attention_must_be_installed(whole, monkeypatch):
    monkeypatch.setattr(loading, "_has_gpu", lambda: True)
    monkeypatch.setattr(loading, "_device", lambda options: options.device_map)
    options = {"device_map": "cuda:0", "attention": "flash_attention_2"}
    refusal(
        whole("qwen2_vl"), "is not installed: pip install flash-attn, or choose sdpa", **options
    )


def test_no_threads_are_refused_before_anything_is_read():
    with pytest.raises(UsageError, match="threads 0: need at least one"):
        load_backbone("no such folder", threads=0)


class Transformers:
    """Notes what reaches `from_pretrained`."""

    def __init__(self) -> None:
        self.told: dict[str, object] = {}
        self.Qwen2VLForConditionalGeneration = self
        self.BitsAndBytesConfig = dict

    def from_pretrained(self, folder, **arguments):
        self.told = arguments
        real = libraries.transformers().Qwen2VLForConditionalGeneration
        return real.from_pretrained(folder, output_loading_info=True)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, {"dtype": "float32"}),
        ({"device_map": "cuda:1"}, {"device_map": "cuda:1", "dtype": "auto"}),
        (
            {"device_map": "auto", "dtype": "float16", "attention": "eager"},
            {"device_map": "auto", "dtype": "float16", "attn_implementation": "eager"},
        ),
        (
            {"device_map": "cuda:0", "quantisation": "4bit", "dtype": "bfloat16"},
            {
                "device_map": "cuda:0",
                "dtype": "bfloat16",
                "quantization_config": {"load_in_4bit": True},
            },
        ),
        (
            {"device_map": "cuda:0", "quantisation": "8bit", "attention": "sdpa"},
            {
                "device_map": "cuda:0",
                "dtype": "auto",
                "attn_implementation": "sdpa",
                "quantization_config": {"load_in_8bit": True},
            },
        ),
    ],
)
def test_options_reach_transformers(whole, monkeypatch, options, wanted):
    monkeypatch.setattr(loading, "_has_gpu", lambda: options.get("device_map") is not None)
    monkeypatch.setattr(loading, "_device", lambda options: options.device_map or "cpu")
    real = loading.imported
    monkeypatch.setattr(loading, "imported", lambda name, *a: "bits" in name or real(name, *a))
    library = Transformers()
    load_network(library, whole("qwen2_vl"), Qwen2VL, LoadOptions(**options), None)
    told = {**library.told, "dtype": str(library.told["dtype"]).removeprefix("torch.")}
    always = {
        "local_files_only": True,
        "use_safetensors": True,
        "output_loading_info": True,
        "ignore_mismatched_sizes": True,
    }
    assert told == {**always, **wanted}


def test_the_chosen_precision_and_attention_are_the_models(whole):
    for dtype in ("float32", "bfloat16"):
        backbone = load(whole("qwen3_vl"), dtype=dtype, attention="eager")
        model = backbone.checkpoint.model
        assert {str(v.dtype) for v in model.parameters()} == {f"torch.{dtype}"}
        assert model.config.get_text_config()._attn_implementation == "eager"


def test_bounded_attention_scores_need_eager(whole):
    folder = whole("paligemma2")
    message = r"Gemma2Model does not support an attention .*; choose attention auto or eager$"
    refusal(folder, message, attention="sdpa")
    contents = [Content(text="a fox runs over the snow")]
    auto, eager = (vectors(load(folder, attention=name), contents)[0] for name in ("auto", "eager"))
    assert np.array_equal(auto, eager)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("torchvision", r"^multimodal models need torchvision: pip install 'kinoscope\[models\]'$"),
        ("torch", r"^this needs torch \(.*\): pip install 'kinoscope\[models\]'$"),
        ("peft", r"^this needs peft \(.*\): pip install 'kinoscope\[models\]'$"),
        ("safetensors", r"^this needs safetensors \(.*\): pip install 'kinoscope\[models\]'$"),
        ("huggingface_hub", r"^this needs huggingface_hub \(.*\): pip install 'kinosc"),
    ],
)
def test_an_absent_package_is_named_with_its_command(copy, tmp_path, monkeypatch, missing, message):
    (tmp_path / "lora").mkdir()
    lora = {"peft_type": "LORA"}
    (tmp_path / "lora" / "adapter_config.json").write_text(json.dumps(lora))
    folder = copy()
    shutil.copy(folder / "model.safetensors", tmp_path / "lora" / "adapter_model.safetensors")
    adapter = tmp_path / "lora" if missing == "peft" else None
    if adapter:
        monkeypatch.setattr("kinoscope.backbones.checkpoints._root", lambda *_a: None)
    if missing == "torchvision":
        monkeypatch.setattr(libraries, "find_spec", lambda _name: None)
    else:
        monkeypatch.setitem(sys.modules, missing, None)
    model = "some/model" if missing == "huggingface_hub" else folder
    refusal(model, message, SetupError, adapter=adapter)


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_that_do_not_fit_are_an_error_that_names_them(copy, family, caplog):
    folder = copy(family)

    def change(weights):
        norms = sorted(name for name in weights if name.endswith("input_layernorm.weight"))
        weights["stranger.weight"] = weights.pop(norms[0])
        weights[norms[1]] = weights[norms[1]][:-1]

    edit_weights(folder, change)
    refusal(
        folder,
        r"does not fit \w+Generation: it lacks weights \(model\S*\.layers\.0\.input\S+\)"
        r" and has unknown weights \(\S*stranger\.weight\) and has misshapen weights"
        r" \(model\S*\.layers\.1\S+ is \[63\], not \[64\]\); fetch the checkpoint again$",
    )
    assert not caplog.records, "Transformers' own report"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_weights_in_their_own_precision_stay_in_the_file_and_are_not_copied(whole):
    folder = whole("qwen2_vl")
    model = load(folder).checkpoint.model
    maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    mapped = [m[0].split("-") for m in maps if m[-1] == str(folder / "model.safetensors")]
    places = [range(int(start, 16), int(end, 16)) for start, end in mapped]
    for name, values in model.named_parameters():
        assert any(values.data_ptr() in place for place in places), name


def test_many_misfits_are_counted(copy):
    folder = copy()
    edit_weights(folder, lambda w: [w.pop(n) for n in list(w) if "layers.2" in n])
    refusal(
        folder, r"lacks weights \(model\S+, model\S+, model\S+ and 9 more\); fetch the checkpoin"
    )


def test_a_checkpoint_without_head_embeds_as_before_and_says_that_it_cannot_answer(copy):
    folder = copy("qwen3_vl")
    config = json.loads((folder / "config.json").read_text())
    config["tie_word_embeddings"] = config["text_config"]["tie_word_embeddings"] = False
    before = vectors(load(folder), [Content(text="a fox")])[0]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.warns(UserWarning, match="no language-model head: it embeds, but gives no answers"):
        backbone = load(folder)
    assert np.array_equal(vectors(backbone, [Content(text="a fox")])[0], before)
    assert not backbone.head_rows(libraries.torch().arange(5)).any()


@pytest.mark.parametrize("part", ["norm.weight", "patch_embed.proj.weight"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_show_when_they_are_loaded(copy, part, value):
    folder = copy()

    def change(weights):
        name = next(name for name in weights if name.endswith(part))
        weights[name].view(-1)[0] = value

    edit_weights(folder, change)
    refusal(folder, "gives vectors that are not finite: fetch it again or, where dtype is float16")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layer": "2"}, "kinoscope.json has the layer '2': give a whole number"),
        ({"layer": 5}, r"layer 5: choose 1\.\.4, or -1 for the last"),
        ({"template": "haiku"}, "template 'haiku' is unknown: choose one word or instruction"),
        ({"sampling": "all"}, "sampling 'all' is not one that this version knows"),
    ],
)
def test_our_own_settings_are_checked(copy, settings, message):
    folder = copy()
    (folder / "kinoscope.json").write_text(json.dumps(settings))
    refusal(folder, message)


def test_options_come_before_settings_and_settings_before_defaults(copy):
    folder = copy()
    own = SamplingConfig(fps=7, side_px=None, max_pixels=6400)
    settings = {"layer": 2, "template": "instruction", "sampling": own.describe()}
    (folder / "kinoscope.json").write_text(json.dumps(settings))
    backbone, sampling = load_backbone(str(folder))
    made = backbone.checkpoint
    assert (made.layer, made.template.name, sampling) == (2, "instruction", own)
    assert made.family.max_pixels == 6400
    other = SamplingConfig(side_px=None, max_pixels=8100)
    options = LoadOptions(layer=3, template="one word")
    backbone, sampling = load_backbone(str(folder), options, sampling=other)
    made = backbone.checkpoint
    assert (made.layer, made.template.name, sampling) == (3, "one word", other)
    assert made.family.max_pixels == 8100
