"""Tiny, randomly initialised checkpoints of the real Transformers classes, written without network.

`tiny("qwen3_vl", folder)` writes what the published checkpoints of the family have: configuration,
weights, tokenizer, processor, chat template. Layers are few and narrow; states still depend clearly
on text and on frames, which library defaults for large models would not give.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kinoscope import libraries
from kinoscope.types import Frames
from tests import tiny_tokenizer as words

HIDDEN, LAYERS, HEADS, KEY_HEADS, HEAD_DIM = 64, 4, 4, 2, 16
SIDE, PATCH = 32, 8  # of the pictures that towers of a fixed size see, in pixels
PATCHES = (SIDE // PATCH) ** 2
HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}


@dataclass(frozen=True)
class Parts:
    """What `tiny` saves: the name of the model class, its configuration and its processor."""

    architecture: str
    config: Any
    processor: Any


def moving_frames(count: int, height: int, width: int, seed: int) -> Frames:
    """Frames every 0.5 s: a bright square crosses a dim texture, on a path that `seed` decides."""
    random = np.random.default_rng(seed)
    blocks_HWC = random.integers(0, 120, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    ground_HWC = blocks_HWC.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]
    side = max(2, min(height, width) // 3)
    colour = random.integers(160, 256, 3, dtype=np.uint8)
    (top, left), (down, right) = random.random((2, 2))
    rgb_FHWC = np.stack([ground_HWC] * count)
    for frame, rgb_HWC in enumerate(rgb_FHWC):
        part = frame / max(1, count - 1)
        y = round((height - side) * abs(top - part * (0.5 + down / 2)))
        x = round((width - side) * abs(left - part * (0.5 + right / 2)))
        rgb_HWC[y : y + side, x : x + side] = colour
    return Frames(rgb_FHWC, 0.5 * np.arange(count, dtype=np.float64))


def tiny(family: str, folder: Path, *, seed: int = 0) -> Path:
    """Writes a checkpoint of `family`, one of `FAMILIES`, with weights that `seed` decides."""
    parts = _MAKERS[family]()
    parts.processor.save_pretrained(folder)
    _write_model(parts.architecture, parts.config, parts.processor.tokenizer, folder, seed)
    return folder


def tiny_text_only(folder: Path, *, seed: int = 0) -> Path:
    """Writes a Qwen2 language model, which has no processor and sees nothing."""
    tokenizer = _qwen_tokenizer(None)
    config = libraries.transformers().Qwen2Config(
        **_text(tokenizer), tie_word_embeddings=True, rope_parameters=_rope(1e6)
    )
    tokenizer.save_pretrained(folder)
    _write_model("Qwen2ForCausalLM", config, tokenizer, folder, seed)
    return folder


def _write_model(name: str, config: Any, tokenizer: Any, folder: Path, seed: int) -> None:
    torch, transformers = libraries.torch(), libraries.transformers()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = getattr(transformers, name)(config).eval()
        _initialise(model)
    model.generation_config = transformers.GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    model.save_pretrained(folder)


def _initialise(model: Any) -> None:
    """Random values by the part they play; other norms, scales and separators stay as they are.

    Queries and keys are large, so that a token looks at few others instead of at their average:
    otherwise two videos give almost the same last state. Embeddings are small, so that what the
    layers add outweighs the token itself. Rounding still moves a state by some 1e-5 only.
    """
    torch = libraries.torch()
    scaled = model.config.get_text_config().model_type.startswith("gemma")  # by sqrt(HIDDEN)
    with torch.no_grad():
        for name, values in sorted(model.named_parameters()):
            if "q_norm" in name or "k_norm" in name:
                values.fill_(2.0)
            elif "norm" not in name and (values.ndim >= 2 or name.endswith("bias")):
                values.normal_(std=_spread(name, values[0].numel(), scaled))


def _spread(name: str, fan_in: int, scaled: bool) -> float:
    """Standard deviation of a parameter, by what its name says it does."""
    fixed = {"bias": 0.1, "pos": 0.3, "embed_tokens": 0.3 / math.sqrt(HIDDEN) if scaled else 0.3}
    gains = {"patch_embed": 4.0, "q_proj": 2.0, "k_proj": 2.0, "qkv": 2.0}
    for part, spread in fixed.items():
        if part in name:
            return spread
    gain = next((gain for part, gain in gains.items() if part in name), 1.5)
    return gain / math.sqrt(fan_in)


def _text(tokenizer: Any) -> dict[str, Any]:
    """The fields that all text decoders share."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KEY_HEADS,
        "max_position_embeddings": 32768,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _tower() -> dict[str, Any]:
    """The fields of a vision tower that sees pictures of one size."""
    return {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIDE,
        "patch_size": PATCH,
    }


def _rope(theta: float, **more: Any) -> dict[str, Any]:
    return {"rope_type": "default", "rope_theta": theta, **more}


def _qwen_tokenizer(chat_template: str | None) -> Any:
    made = words.tokenizer(
        words.QWEN_SPECIAL, eos_token="<|im_end|>", pad_token="<|endoftext|>", padding_side="left"
    )
    made.chat_template = chat_template
    return made


def _qwen_ids(tokenizer: Any) -> dict[str, int]:
    names = {
        "image_token_id": "<|image_pad|>",
        "video_token_id": "<|video_pad|>",
        "vision_start_token_id": "<|vision_start|>",
        "vision_end_token_id": "<|vision_end|>",
    }
    return {field: tokenizer.convert_tokens_to_ids(token) for field, token in names.items()}


def _qwen2_vl() -> Parts:
    library = libraries.transformers()
    tokenizer = _qwen_tokenizer(words.QWEN2_VL_CHAT)
    size = {"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 64}
    config = library.Qwen2VLConfig(
        text_config=_text(tokenizer) | {"rope_parameters": _rope(1e6, mrope_section=[2, 3, 3])},
        vision_config={"depth": 2, "embed_dim": 32, "num_heads": 2, "hidden_size": HIDDEN},
        tie_word_embeddings=True,
        **_qwen_ids(tokenizer),
    )
    processor = library.Qwen2VLProcessor(
        image_processor=library.Qwen2VLImageProcessor(size=size),
        video_processor=library.Qwen2VLVideoProcessor(size=size),
        tokenizer=tokenizer,
        chat_template=words.QWEN2_VL_CHAT,
    )
    return Parts("Qwen2VLForConditionalGeneration", config, processor)


def _qwen2_5_vl() -> Parts:
    library = libraries.transformers()
    tokenizer = _qwen_tokenizer(words.QWEN2_VL_CHAT)
    size = {"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 64}
    config = library.Qwen2_5_VLConfig(
        text_config=_text(tokenizer) | {"rope_parameters": _rope(1e6, mrope_section=[2, 3, 3])},
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": HIDDEN,
            "window_size": 56,
            "fullatt_block_indexes": [1],
            "tokens_per_second": 2,
        },
        tie_word_embeddings=True,
        **_qwen_ids(tokenizer),
    )
    processor = library.Qwen2_5_VLProcessor(
        image_processor=library.Qwen2VLImageProcessor(size=size),
        video_processor=library.Qwen2VLVideoProcessor(size=size),
        tokenizer=tokenizer,
        chat_template=words.QWEN2_VL_CHAT,
    )
    return Parts("Qwen2_5_VLForConditionalGeneration", config, processor)


def _qwen3_vl() -> Parts:
    library = libraries.transformers()
    tokenizer = _qwen_tokenizer(words.QWEN3_VL_CHAT)
    rope = _rope(5e6, mrope_section=[4, 2, 2], mrope_interleaved=True)
    config = library.Qwen3VLConfig(
        text_config=_text(tokenizer) | {"head_dim": HEAD_DIM, "rope_parameters": rope},
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": HIDDEN,
            "num_position_embeddings": 16,
            "deepstack_visual_indexes": [0],
        },
        tie_word_embeddings=True,
        **_qwen_ids(tokenizer),
    )
    picture = HALF | {"patch_size": 16}
    processor = library.Qwen3VLProcessor(
        image_processor=library.Qwen2VLImageProcessor(
            size={"shortest_edge": 64 * 64, "longest_edge": 32 * 32 * 64}, **picture
        ),
        video_processor=library.Qwen3VLVideoProcessor(
            size={"shortest_edge": 4096, "longest_edge": 32 * 32 * 256}, **picture
        ),
        tokenizer=tokenizer,
        chat_template=words.QWEN3_VL_CHAT,
    )
    return Parts("Qwen3VLForConditionalGeneration", config, processor)


def _smolvlm() -> Parts:
    library = libraries.transformers()
    tokenizer = words.tokenizer(
        words.SMOLVLM_SPECIAL,
        bos_token="<|im_start|>",
        eos_token="<end_of_utterance>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
    )
    tokenizer.chat_template = words.SMOLVLM_CHAT
    config = library.SmolVLMConfig(
        text_config=_text(tokenizer)
        | {"model_type": "llama", "head_dim": HEAD_DIM, "rope_parameters": _rope(273768.0)},
        vision_config=_tower(),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )
    sizes = {"size": {"longest_edge": 2 * SIDE}, "max_image_size": {"longest_edge": SIDE}}
    processor = library.SmolVLMProcessor(
        image_processor=library.SmolVLMImageProcessor(**sizes),
        video_processor=library.SmolVLMVideoProcessor(
            size={"longest_edge": SIDE}, max_image_size={"longest_edge": SIDE}
        ),
        tokenizer=tokenizer,
        image_seq_len=PATCHES // 4,
        chat_template=words.SMOLVLM_CHAT,
    )
    return Parts("SmolVLMForConditionalGeneration", config, processor)


def _llava_onevision() -> Parts:
    library = libraries.transformers()
    tokenizer = words.tokenizer(
        ("<|im_start|>", "<image>", "<video>"), eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    tokenizer.chat_template = words.LLAVA_CHAT
    tiles = [[SIDE, SIDE], [SIDE, 2 * SIDE], [2 * SIDE, SIDE], [2 * SIDE, 2 * SIDE]]
    config = library.LlavaOnevisionConfig(
        text_config=_text(tokenizer) | {"model_type": "qwen2", "rope_parameters": _rope(1e6)},
        vision_config=_tower() | {"model_type": "siglip_vision_model", "vision_use_head": False},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=tiles,
        tie_word_embeddings=True,
    )
    size = {"height": SIDE, "width": SIDE}
    processor = library.LlavaOnevisionProcessor(
        image_processor=library.LlavaOnevisionImageProcessor(
            size=size, image_grid_pinpoints=tiles, **HALF
        ),
        video_processor=library.LlavaOnevisionVideoProcessor(size=size, **HALF),
        tokenizer=tokenizer,
        num_image_tokens=PATCHES,
        vision_feature_select_strategy="full",
        chat_template=words.LLAVA_CHAT,
    )
    return Parts("LlavaOnevisionForConditionalGeneration", config, processor)


def _internvl() -> Parts:
    library = libraries.transformers()
    tokenizer = words.tokenizer(
        ("<|im_start|>", *words.INTERNVL_NAMED.values()),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=words.INTERNVL_NAMED,
    )
    tokenizer.chat_template = words.INTERNVL_CHAT
    config = library.InternVLConfig(
        text_config=_text(tokenizer) | {"model_type": "qwen2", "rope_parameters": _rope(1e6)},
        vision_config=_tower() | {"image_size": [SIDE, SIDE], "patch_size": [PATCH, PATCH]},
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=PATCHES // 4,
        tie_word_embeddings=True,
    )
    size = {"height": SIDE, "width": SIDE}
    processor = library.InternVLProcessor(
        image_processor=library.GotOcr2ImageProcessor(size=size, crop_to_patches=True),
        video_processor=library.InternVLVideoProcessor(size=size),
        tokenizer=tokenizer,
        image_seq_length=PATCHES // 4,
        chat_template=words.INTERNVL_CHAT,
    )
    return Parts("InternVLForConditionalGeneration", config, processor)


def _paligemma(text_type: str) -> Parts:
    library = libraries.transformers()
    tokenizer = words.tokenizer(
        (), bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>"
    )
    pictures = library.SiglipImageProcessor(size={"height": SIDE, "width": SIDE})
    pictures.image_seq_length = PATCHES
    processor = library.PaliGemmaProcessor(image_processor=pictures, tokenizer=tokenizer)
    text = _text(tokenizer)  # the processor has added <image> and <loc0000> by now
    if text_type == "gemma2":
        text["query_pre_attn_scalar"] = HEAD_DIM
    config = library.PaliGemmaConfig(
        text_config=text
        | {"model_type": text_type, "head_dim": HEAD_DIM, "rope_parameters": _rope(1e4)},
        vision_config=_tower() | {"model_type": "siglip_vision_model", "vision_use_head": False},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vocab_size=len(tokenizer),
        projection_dim=HIDDEN,
        hidden_size=HIDDEN,
    )
    return Parts("PaliGemmaForConditionalGeneration", config, processor)


_MAKERS: dict[str, Callable[[], Parts]] = {
    "qwen2_vl": _qwen2_vl,
    "qwen2_5_vl": _qwen2_5_vl,
    "qwen3_vl": _qwen3_vl,
    "smolvlm": _smolvlm,
    "llava_onevision": _llava_onevision,
    "internvl": _internvl,
    "paligemma": lambda: _paligemma("gemma"),
    "paligemma2": lambda: _paligemma("gemma2"),
}
FAMILIES: tuple[str, ...] = tuple(_MAKERS)
