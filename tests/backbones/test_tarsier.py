"""Tarsier2 and TARA folders: made from a Qwen2-VL in the layout in which they are published."""

import json
from pathlib import Path

import numpy as np
import pytest

from kinoscope import libraries
from kinoscope.backbones.checkpoints import save_checkpoint
from kinoscope.backbones.loading import checked_family, load_backbone
from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.options import LoadOptions
from kinoscope.backbones.qwen_vl import Qwen2VL
from kinoscope.backbones.tarsier import Tarsier2, configuration
from kinoscope.errors import UsageError
from kinoscope.types import Content, Features
from tests.backbones.checks import vectors
from tests.backbones.plain import clip
from tests.tiny import moving_frames, tiny

# Its own template counts tokens, ends no last answer, and knows one token for all that is seen.
OWN_CHAT = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n{% for content in message['content'] %}"
    "{% if content['type'] == 'text' %}{{ content['text'] }}{% else %}<|vision_start|>"
    "{{ '<|image_pad|>' * content['num_vision_tokens'] }}<|vision_end|>{% endif %}{% endfor %}"
    "{% if not (loop.last and strip_final_eos) %}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXT, PICTURE = Content(text="a fox runs"), Content(clip=clip(1, 56, 84, 0), still=True)
VIDEO = Content(clip=clip(4, 56, 84, 1))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KINOSCOPE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def qwen(tmp_path_factory) -> Path:
    """A Qwen2-VL whose head is no embedding, as at 7B."""
    torch, library = libraries.torch(), libraries.transformers()
    folder = tiny("qwen2_vl", tmp_path_factory.mktemp("qwen") / "tied")
    processor = library.AutoProcessor.from_pretrained(folder)
    model = library.Qwen2VLForConditionalGeneration.from_pretrained(folder)
    model.config.tie_word_embeddings = model.config.text_config.tie_word_embeddings = False
    noise = torch.Generator().manual_seed(1)
    shape = model.lm_head.weight.shape
    model.lm_head.weight = torch.nn.Parameter(torch.randn(shape, generator=noise))
    model.save_pretrained(folder.with_name("untied"))
    processor.save_pretrained(folder.with_name("untied"))
    return folder.with_name("untied")


def load(folder: Path, **options) -> MLLM:
    """On one thread: at this size more of them only wait for each other."""
    return load_backbone(str(folder), LoadOptions(**options), threads=1)[0]


def published(name: str) -> str:
    """Transformers' name of a weight as Tarsier2 has it."""
    parts = name.split(".")
    if parts[:2] == ["model", "visual"]:
        return ".".join(["vision_tower", *parts[2:]])
    if parts[:2] == ["model", "language_model"]:
        return ".".join(["language_model", "model", *parts[2:]])
    assert parts[0] == "lm_head", name
    return f"language_model.{name}"


def tarsier(qwen: Path, folder: Path, *, shards: int = 1, template: str | None = None) -> Path:
    """Writes the same model as a Tarsier2 is published: names, configuration, processor."""
    library = libraries.transformers()
    model = library.Qwen2VLForConditionalGeneration.from_pretrained(qwen)
    weights = {published(name): values for name, values in model.state_dict().items()}
    folder.mkdir()
    write_weights(folder, weights, shards)
    text, vision = model.config.text_config.to_dict(), model.config.vision_config.to_dict()
    rope = {"type": "mrope", "mrope_section": text.pop("rope_parameters")["mrope_section"]}
    code = {"auto_map": {"AutoConfig": "models--code.Config"}, "attn_implementation": "eager"}
    ids = {
        "image_token_id": model.config.image_token_id,
        "vision_start_token_id": model.config.vision_start_token_id,
    }
    config = {
        "architectures": ["TarsierForConditionalGeneration"],
        "model_type": "llava",
        "projection_head": None,
        "image_token_index": model.config.image_token_id,
        "text_config": {
            **{name: value for name, value in text.items() if name != "layer_types"},
            **code,
            **ids,
            "model_type": "qwen2_vl",
            "rope_theta": 1e6,
            "rope_scaling": rope,
            "tie_word_embeddings": False,
        },
        "vision_config": {**vision, **code, "model_type": "qwen2_vl"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    processor = library.AutoProcessor.from_pretrained(qwen)
    processor.tokenizer.chat_template = template or processor.chat_template
    processor.tokenizer.save_pretrained(folder)
    picture = processor.image_processor.to_dict()
    size = picture.pop("size")
    picture["size"] = {"min_pixels": size["shortest_edge"], "max_pixels": size["longest_edge"]}
    (folder / "preprocessor_config.json").write_text(json.dumps(picture))
    return folder


def write_weights(folder: Path, weights: dict, shards: int = 1) -> None:
    save_file = libraries.imported("safetensors.torch").save_file
    if shards == 1:
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names = [f"model-{n + 1:05}-of-{shards:05}.safetensors" for n in range(shards)]
    places = {name: names[n % shards] for n, name in enumerate(weights)}
    for file in names:
        part = {name: values for name, values in weights.items() if places[name] == file}
        save_file(part, folder / file, metadata={"format": "pt"})
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def edit_weights(folder: Path, change) -> None:
    load_file = libraries.imported("safetensors.torch").load_file
    weights = load_file(folder / "model.safetensors")
    change(weights)
    write_weights(folder, {name: values.contiguous() for name, values in weights.items()})


def edit_config(folder: Path, change) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def shown_twice(content: Content) -> Content:
    """A clip in which every frame is there two times."""
    rgb_FHWC = content.clip.values_F.repeat(2, axis=0)
    return Content(clip=Features(rgb_FHWC, 0.25 * np.arange(len(rgb_FHWC), dtype=np.float64)))


@pytest.mark.parametrize("shards", [1, 2])
def test_vectors_are_those_of_the_same_qwen2_vl_each_frame_shown_twice(qwen, tmp_path, shards):
    folder = tarsier(qwen, tmp_path / "any name", shards=shards)
    backbone, original = load(folder), load(qwen)
    wanted = vectors(original, [TEXT, PICTURE, shown_twice(VIDEO)])
    found = vectors(backbone, [TEXT, PICTURE, VIDEO])
    for one_D, other_D in zip(found, wanted, strict=True):
        assert np.abs(one_D - other_D).max() < 1e-5
    once_D = vectors(original, [VIDEO])[0]
    assert np.abs(found[2] - once_D).max() > 1e-2, "the doubling changes nothing"
    rows = libraries.torch().arange(9)
    assert libraries.torch().equal(backbone.head_rows(rows), original.head_rows(rows))


def test_its_own_chat_template_gives_the_same_vectors(qwen, tmp_path):
    contents = [TEXT, PICTURE, VIDEO, Content(clip=VIDEO.clip, text="at night")]
    usual = load(tarsier(qwen, tmp_path / "usual"))
    own = load(tarsier(qwen, tmp_path / "own", template=OWN_CHAT))
    for one_D, other_D in zip(vectors(own, contents), vectors(usual, contents), strict=True):
        assert np.array_equal(one_D, other_D)


def test_it_is_told_by_its_config_and_not_by_its_name(qwen, tmp_path):
    assert checked_family(tarsier(qwen, tmp_path / "qwen2")) is Tarsier2
    named = tmp_path / "Tarsier2-7b"
    named.symlink_to(qwen)
    assert checked_family(named) is Qwen2VL
    edit_config(tmp_path / "qwen2", lambda c: c.update(architectures=["LlavaForX"]))
    with pytest.raises(UsageError, match="of the family llava; supported are qwen2_vl"):
        checked_family(tmp_path / "qwen2")


def _add(weights, name, like, end=None):
    weights[name] = weights[like][:end].clone()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda w: w.pop("vision_tower.merger.ln_q.weight"),
            r"it lacks weights \(model\.visual\.merger\.ln_q\.weight\)",
        ),
        (
            lambda w: _add(
                w, "multi_modal_projector.linear.weight", "vision_tower.merger.ln_q.bias"
            ),
            r"has unknown weights \(multi_modal_projector\.linear\.weight\)",
        ),
        (
            lambda w: _add(w, "vision_tower.blocks.9.x.bias", "vision_tower.merger.ln_q.bias"),
            r"has unknown weights \(model\.visual\.blocks\.9\.x\.bias\)",
        ),
        (
            lambda w: _add(w, *2 * ["language_model.model.norm.weight"], end=-1),
            r"has misshapen weights \(model\.language_model\.norm\.weight is \[63\], not \[64\]\)",
        ),
    ],
    ids=["missing", "foreign", "left over", "shape"],
)
def test_weights_that_do_not_fit_are_named(qwen, tmp_path, change, message, caplog):
    folder = tarsier(qwen, tmp_path / "t")
    edit_weights(folder, change)
    with pytest.raises(UsageError, match=message + ".*fetch the checkpoint again$"):
        load(folder)
    assert not caplog.records


def test_token_ids_come_from_the_tokenizer_and_must_agree(qwen, tmp_path):
    folder = tarsier(qwen, tmp_path / "t")

    def without_ids(config):
        del config["text_config"]["image_token_id"], config["text_config"]["vision_start_token_id"]
        del config["image_token_index"]

    edit_config(folder, without_ids)
    original = load(qwen)
    config = load(folder).checkpoint.model.config
    for name in ("image", "video", "vision_start", "vision_end"):
        wanted = getattr(original.checkpoint.model.config, f"{name}_token_id")
        assert getattr(config, f"{name}_token_id") == wanted
    edit_config(folder, lambda c: c["text_config"].update(video_token_id=7))
    with pytest.raises(UsageError, match=r"<\|video_pad\|> is 413, not 7: copy the tokenizer from"):
        load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["text_config"].update(model_type="llama"), "Tarsier on llama: supported is"),
        (lambda c: c["text_config"].pop("rope_scaling"), "names no mrope_section"),
        (lambda c: c.pop("vision_config"), "lacks its vision_config: fetch"),
    ],
)
def test_a_configuration_that_is_no_tarsier2_is_refused(qwen, tmp_path, change, message):
    folder = tarsier(qwen, tmp_path / "t")
    edit_config(folder, change)
    with pytest.raises(UsageError, match=message):
        load(folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("preprocessor_config.json", "lacks preprocessor_config.json: copy it from Qwen/Qwen2-VL"),
        ("tokenizer.json", "lacks tokenizer.json: copy it from Qwen/Qwen2-VL-7B"),
        ("chat_template.jinja", "no chat template .*: add its chat_template.jinja"),
    ],
)
def test_an_absent_processor_file_is_named_with_its_source(qwen, tmp_path, name, message):
    folder = tarsier(qwen, tmp_path / "t")
    (folder / name).unlink()
    with pytest.raises(UsageError, match=message):
        load(folder)


def test_a_processor_copied_from_its_reference_will_do(qwen, tmp_path):
    folder = tarsier(qwen, tmp_path / "t")
    before = vectors(load(folder), [PICTURE, VIDEO])
    (folder / "preprocessor_config.json").unlink()
    (folder / "chat_template.jinja").rename(tmp_path / "template")
    libraries.transformers().AutoProcessor.from_pretrained(qwen).save_pretrained(folder)
    legacy = {"chat_template": (tmp_path / "template").read_text()}
    (folder / "chat_template.jinja").unlink()
    (folder / "chat_template.json").write_text(json.dumps(legacy))
    assert np.array_equal(vectors(load(folder), [PICTURE, VIDEO]), before)


@pytest.mark.parametrize(
    "told",
    [
        {"size": {"min_pixels": 3136, "max_pixels": 9408}},
        {"size": {"shortest_edge": 3136, "longest_edge": 9408}},
        {"min_pixels": 3136, "max_pixels": 9408},
    ],
)
def test_bounds_of_pixels_are_understood_by_all_their_names(qwen, tmp_path, told):
    folder = tarsier(qwen, tmp_path / "t")
    path = folder / "preprocessor_config.json"
    values = json.loads(path.read_text())
    del values["size"]
    path.write_text(json.dumps(values | told))
    processor = load(folder).checkpoint.family.processor
    for part in (processor.image_processor, processor.video_processor):
        assert dict(part.size) == {"shortest_edge": 3136, "longest_edge": 9408}


def test_saved_it_is_a_qwen2_vl_that_reads_frames_as_before(qwen, tmp_path):
    backbone, sampling = load_backbone(str(tarsier(qwen, tmp_path / "t")))
    save_checkpoint(backbone, sampling, tmp_path / "saved")
    again = load(tmp_path / "saved")
    contents = [TEXT, PICTURE, VIDEO]
    assert np.array_equal(vectors(again, contents), vectors(backbone, contents))
    library, torch = libraries.transformers(), libraries.torch()
    plain, original = (
        library.AutoModelForImageTextToText.from_pretrained(place).state_dict()
        for place in (tmp_path / "saved", qwen)
    )
    assert plain.keys() == original.keys()
    assert all(torch.equal(plain[name], original[name]) for name in plain)


def test_at_full_size_it_has_the_parameters_that_tara_counts(tmp_path):
    text = {"model_type": "qwen2_vl", "hidden_size": 3584, "intermediate_size": 18944}
    text |= {"num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4}
    text |= {"rms_norm_eps": 1e-6, "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]}}
    vision = {"model_type": "qwen2_vl", "embed_dim": 1280, "hidden_size": 3584, "depth": 32}
    config = {"text_config": text, "vision_config": vision}
    (tmp_path / "config.json").write_text(json.dumps(config))
    library = libraries.transformers()
    with libraries.torch().device("meta"):
        model = library.Qwen2VLForConditionalGeneration(configuration(library, tmp_path))
    assert f"{sum(v.numel() for v in model.parameters()) / 1e9:.3f}B" == "8.291B"
    assert model.config.text_config.rope_parameters["rope_theta"] == 1e6
    assert model.config.text_config.rope_parameters["mrope_section"] == [16, 24, 24]


def language_model(folder: Path, place: Path, *, bare: bool = False, seed: int = 5) -> Path:
    """Saves a tuned language model alone: with head, as TARA's training does, or without."""
    torch = libraries.torch()
    backbone = load(folder)
    network = backbone.checkpoint.model
    noise = torch.Generator().manual_seed(seed)
    tuned = {
        name: values + 0.1 * torch.randn(values.shape, generator=noise)
        for name, values in backbone._decoder.state_dict().items()
    }
    weights = tuned if bare else {f"model.{name}": values for name, values in tuned.items()}
    if not bare:
        weights["lm_head.weight"] = network.lm_head.weight.detach() * 2
    place.mkdir()
    write_weights(place, weights)
    (place / "config.json").write_text('{"architectures": ["Qwen2VLForCausalLM"]}')
    return place


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("family", ["tarsier", "qwen3_vl", "smolvlm"])
def test_a_tuned_language_model_replaces_exactly_the_language_model(qwen, tmp_path, family, bare):
    torch = libraries.torch()
    base = tmp_path / "base"
    tarsier(qwen, base) if family == "tarsier" else tiny(family, base)
    tuned = language_model(base, tmp_path / "tuned", bare=bare)
    content = (base / "model.safetensors").read_bytes()
    before, after = (load(base, adapter=adapter) for adapter in (None, tuned))
    states = [backbone.checkpoint.model.state_dict() for backbone in (before, after)]
    changed = {name for name in states[0] if not torch.equal(states[0][name], states[1][name])}
    language = ("language_model.", "text_model.")
    wanted = {name for name in states[0] if name.split("model.", 1)[-1].startswith(language)}
    head, core = before.checkpoint.model.lm_head, before.checkpoint.model.model
    tied = head.weight is core.get_input_embeddings().weight
    assert changed - {"lm_head.weight"} == wanted
    assert ("lm_head.weight" in changed) == (tied or not bare)
    assert before.weights != after.weights
    assert (base / "model.safetensors").read_bytes() == content, "the base itself has changed"
    assert np.abs(vectors(before, [VIDEO])[0] - vectors(after, [VIDEO])[0]).max() > 1e-2


def test_a_tied_head_is_the_embedding_whatever_the_folder_has(tmp_path):
    base = tiny("qwen3_vl", tmp_path / "base")
    tuned = language_model(base, tmp_path / "tuned")
    weights = libraries.imported("safetensors.torch").load_file(tuned / "model.safetensors")
    (tuned / "model.safetensors").unlink()
    last = {name: weights[name] for name in sorted(weights, key=lambda name: "lm_head" in name)}
    write_weights(tuned, last, shards=len(last))
    model = load(base, adapter=tuned).checkpoint.model
    embedding, torch = weights["model.embed_tokens.weight"], libraries.torch()
    assert torch.equal(model.get_input_embeddings().weight, embedding)
    assert torch.equal(model.get_output_embeddings().weight, embedding)


def test_a_language_model_of_another_shape_changes_nothing(qwen, tmp_path):
    tuned = language_model(qwen, tmp_path / "tuned")
    norm = "model.norm.weight"
    faults = {
        r"lacks weights \(decoder.norm.weight\)": lambda w: w.pop(norm),
        r"unknown weights \(model.visual.x\)": lambda w: _add(w, "model.visual.x", norm),
        r"decoder.norm.weight is \[63\], not \[64\]": lambda w: _add(w, norm, norm, end=63),
    }
    whole = (tuned / "model.safetensors").read_bytes()
    for message, change in faults.items():
        (tuned / "model.safetensors").write_bytes(whole)
        edit_weights(tuned, change)
        with pytest.raises(UsageError, match=f"no language model of .* it .*{message}"):
            load(qwen, adapter=tuned)


def test_frames_of_a_pair_are_one_frame(qwen, tmp_path):
    backbone = load(tarsier(qwen, tmp_path / "t"))
    frames = moving_frames(3, 56, 56, 0)
    [(_, batch)] = backbone.batches([Content(clip=backbone.vision(frames))])
    assert batch["video_grid_thw"].tolist() == [[3, 4, 4]]
    pixels_PD = batch["pixel_values_videos"].reshape(-1, 3, 2, 14 * 14)
    assert libraries.torch().equal(pixels_PD[:, :, 0], pixels_PD[:, :, 1])
