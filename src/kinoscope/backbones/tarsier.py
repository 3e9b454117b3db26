"""Tarsier2 and TARA: Qwen2-VL under other names, which reads each frame of a video by itself.

Names, fields and the doubling of frames are those of the public code of bytedance/tarsier (branch
tarsier2), bpiyush/TARA, and the loaders of vLLM and LightLLM.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kinoscope.backbones.checkpoint_files import (
    misfit,
    opened,
    read_json,
    shape_misfit,
    weight_files,
    weight_shapes,
)
from kinoscope.backbones.family import Prompt
from kinoscope.backbones.qwen_vl import Qwen2VL
from kinoscope.errors import UsageError
from kinoscope.libraries import torch

Table = tuple[tuple[str, str], ...]
"""Patterns at the start of a name, and what stands in their place; the first that fits counts."""

NAMES: Table = (
    (r"^vision_tower\.", "model.visual."),
    (r"^language_model\.model\.", "model.language_model."),
    (r"^language_model\.lm_head\.", "lm_head."),
)
"""From Tarsier2's weights to those of Transformers' Qwen2-VL; there is no projector between."""

LANGUAGE_MODEL_NAMES: Table = (
    (r"^model\.(?!language_model\.|visual\.)", "decoder."),
    (r"^lm_head\.", "head."),
    (r"^(?=embed_tokens\.|layers\.|norm\.)", "decoder."),
)
"""From a language model saved without its eyes, as TARA is trained, to decoder and head."""

_TEXT_TYPES = ("qwen2_vl", "qwen2_vl_text")
_TEXT_FIELDS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "hidden_act",
    "max_position_embeddings",
    "initializer_range",
    "rms_norm_eps",
    "use_sliding_window",
    "sliding_window",
    "max_window_layers",
    "attention_dropout",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
)
_VISION_FIELDS = (
    "depth",
    "embed_dim",
    "hidden_size",
    "hidden_act",
    "mlp_ratio",
    "num_heads",
    "in_channels",
    "patch_size",
    "spatial_merge_size",
    "temporal_patch_size",
)
_TOKENS = {
    "image_token_id": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
}
_PICTURE_FIELDS = (
    "do_resize",
    "do_rescale",
    "do_normalize",
    "do_convert_rgb",
    "rescale_factor",
    "image_mean",
    "image_std",
    "patch_size",
    "temporal_patch_size",
    "merge_size",
)


class Tarsier2(Qwen2VL):
    """Each frame of a video fills a pair by itself: eight frames are eight steps of time, not four.

    Its own chat template writes as many image tokens as it is told, for a video too.
    """

    name: ClassVar[str] = "tarsier2"
    """What a saved model calls it, whose own configuration is Qwen2-VL's."""
    model_types = ("llava",)

    def video(self, prompt: Prompt) -> np.ndarray:
        """Every frame as often as the tower reads frames at once: A B C -> A A B B C C."""
        together = int(self.processor.video_processor.temporal_patch_size)
        return np.repeat(super().video(prompt), together, axis=0)

    def render(self, prompt: Prompt) -> str:
        """By the checkpoint's template, one image or video token standing for all that it is."""
        messages = [
            message | {"content": [part | {"num_vision_tokens": 1} for part in message["content"]]}
            for message in prompt.messages
        ]
        text = super().render(replace(prompt, messages=messages))
        image, video = self.processor.image_token, self.processor.video_token
        shows_video = prompt.clip is not None and not prompt.still
        return text.replace(image, video) if shows_video and video not in text else text


def is_tarsier(config: dict[str, Any]) -> bool:
    """Whether a `config.json` is that of a Tarsier or TARA, under their own class's name."""
    architectures = config.get("architectures")
    names = architectures if isinstance(architectures, list) else []
    return config.get("model_type") == "llava" and any(str(n).startswith("Tarsier") for n in names)


def processor(library: Any, folder: Path) -> Any:
    """Qwen2-VL's processor with the folder's tokenizer, chat template and picture settings.

    Raises `OSError` or `ValueError`, as Transformers does, without a tokenizer; `UsageError`
    without picture settings.
    """
    tokenizer = library.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    whole = read_json(folder, "processor_config.json")
    values = read_json(folder, "preprocessor_config.json") or whole.get("image_processor")
    if not isinstance(values, dict):
        raise UsageError(
            f"{folder} lacks preprocessor_config.json: copy it from {Tarsier2.reference}"
        )
    legacy = read_json(folder, "chat_template.json")
    template = tokenizer.chat_template or legacy.get("chat_template") or whole.get("chat_template")
    picture = {name: values[name] for name in _PICTURE_FIELDS if name in values} | _size(values)
    return library.Qwen2VLProcessor(
        image_processor=library.Qwen2VLImageProcessor(**picture),
        video_processor=library.Qwen2VLVideoProcessor(**picture),
        tokenizer=tokenizer,
        chat_template=template,
    )


def configuration(library: Any, folder: Path) -> Any:
    """Transformers' configuration of the Qwen2-VL that the folder's Tarsier2 is.

    Raises `UsageError` for the first Tarsier, which is none, and for an incomplete configuration.
    """
    config = read_json(folder, "config.json")
    text, vision = (_part(folder, config, f"{kind}_config") for kind in ("text", "vision"))
    if text.get("model_type") not in _TEXT_TYPES:
        raise UsageError(
            f"{folder} is a Tarsier on {text.get('model_type')}: supported is Tarsier2, which is"
            " on qwen2_vl"
        )
    rope = text.get("rope_parameters") or text.get("rope_scaling")
    if not isinstance(rope, dict) or "mrope_section" not in rope:
        raise UsageError(
            f"{folder / 'config.json'} names no mrope_section: fetch the checkpoint again"
        )
    return library.Qwen2VLConfig(
        text_config={name: text[name] for name in _TEXT_FIELDS if name in text},
        vision_config={name: vision[name] for name in _VISION_FIELDS if name in vision},
        tie_word_embeddings=bool(text.get("tie_word_embeddings", False)),
        **_token_ids(config),
    )


def arguments(library: Any, folder: Path, tokenizer: Any) -> dict[str, Any]:
    """How `from_pretrained` of Qwen2-VL reads the folder: its configuration, and the names.

    Raises `UsageError` for a configuration that is not Tarsier2's, for a tokenizer that does not
    fit it, and for weights of other names.
    """
    qwen = configuration(library, folder)
    told = _token_ids(read_json(folder, "config.json"))
    vocabulary = tokenizer.get_vocab()
    for field, token in _TOKENS.items():
        has = vocabulary.get(token)
        if has is None or told.get(field, has) != has:
            raise UsageError(
                f"{folder} has a tokenizer where {token} is {has}, not {getattr(qwen, field)}:"
                f" copy the tokenizer from {Tarsier2.reference}"
            )
        setattr(qwen, field, has)
    _check_names(folder)
    return {"config": qwen, "key_mapping": dict(NAMES)}


def lay_over(network: Any, decoder: Any, folder: Path) -> None:
    """Replaces a model's language model by a tuned one that was saved alone, weight by weight.

    Args:
        network: a loaded multimodal LLM, changed in place; its vision tower stays as it is.
        decoder: the text model in it.
        folder: holds the weights of a language model, its head included or not.

    Raises `UsageError`, before anything is changed, unless names and shapes are the decoder's.
    """
    head = network.get_output_embeddings().weight
    targets = {f"decoder.{name}": values for name, values in decoder.state_dict().items()}
    targets["head.weight"] = head
    files = weight_files(folder)
    shapes = weight_shapes(files)
    names = {name: renamed(name, LANGUAGE_MODEL_NAMES) for name in shapes}
    fault = shape_misfit(
        {names[name]: shape for name, shape in shapes.items()},
        {name: tuple(values.shape) for name, values in targets.items()},
        optional=["head.weight"],
    )
    if fault or len(set(names.values())) < len(names):
        raise UsageError(
            f"{folder} is no language model of this checkpoint: it"
            f" {fault or 'has weights twice'}; name a PEFT adapter, or a model tuned from it"
        )
    if head is decoder.get_input_embeddings().weight:
        del targets["head.weight"]  # tied: it is the embedding, whatever the folder's copy says
    for path in files:
        here = weight_shapes([path])
        with opened(path) as stored, torch().no_grad():
            for name in (name for name in here if names[name] in targets):
                targets[names[name]].copy_(stored.get_tensor(name))


def renamed(name: str, table: Table) -> str:
    """The name by the table; itself where no pattern fits."""
    for pattern, replacement in table:
        found = re.sub(pattern, replacement, name)
        if found != name:
            return found
    return name


def _check_names(folder: Path) -> None:
    """Each weight becomes one of Qwen2-VL's; which are absent shows when they are loaded."""
    new = {name: renamed(name, NAMES) for name in weight_shapes(weight_files(folder))}
    unknown = [name for name, found in new.items() if found == name]
    if unknown:
        raise UsageError(
            f"{folder} is no Tarsier2: it {misfit([], unknown)}; fetch the checkpoint again"
        )
    assert len(set(new.values())) == len(new), "two patterns give one name"


def _token_ids(config: dict[str, Any]) -> dict[str, int]:
    """Those that a `config.json` names, of the text model or of the whole."""
    told = {"image_token_id": config.get("image_token_index")} | config["text_config"]
    return {name: told[name] for name in _TOKENS if told.get(name) is not None}


def _part(folder: Path, config: dict[str, Any], name: str) -> dict[str, Any]:
    part = config.get(name)
    if not isinstance(part, dict):
        raise UsageError(f"{folder / 'config.json'} lacks its {name}: fetch the checkpoint again")
    return part


def _size(values: dict[str, Any]) -> dict[str, Any]:
    """Bounds of pixels, which Tarsier2 calls otherwise: {"size": {"shortest_edge": ...}}."""
    size = values.get("size")
    told = {**values, **(size if isinstance(size, dict) else {})}
    names = {"shortest_edge": "min_pixels", "longest_edge": "max_pixels"}
    found = {edge: told.get(edge, told.get(bound)) for edge, bound in names.items()}
    return {"size": found} if None not in found.values() else {}
