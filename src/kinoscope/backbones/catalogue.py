"""Which multimodal LLMs can be used, and what they need: real classes from configs, no weights.

In `configs/MODEL_TYPE.json` stands, by hub name, where a published checkpoint differs from the
defaults of Transformers in size or context, but not in values alone, such as the base of its rotary
positions; the count of its parameters, which the built model must have; and the source of both.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from kinoscope.backbones import tarsier
from kinoscope.backbones.checkpoint_files import read_json
from kinoscope.backbones.families import FAMILIES
from kinoscope.backbones.family import Family
from kinoscope.backbones.loading import checked_family
from kinoscope.errors import UsageError
from kinoscope.libraries import imported, torch, transformers

_GB, _MB = 1e9, 1e6
_HALF, _FULL = 2, 4
"""Bytes a number in bfloat16 and in float32."""
_BLOCK = 64
"""Weights that share a scale in 4 bit, bitsandbytes' default."""


@dataclass(frozen=True, kw_only=True)
class CatalogueEntry:
    """What one checkpoint is and needs.

    Attributes:
        name: on the hub, or the folder.
        family: `model_type` of its config.
        parameters: of the whole model as it is loaded, shared ones counted once.
        vision_parameters: those outside the language model and its head: tower and projector.
        dimension: length of its vectors.
        layers: of the language model's decoder.
        context: most tokens that it reads, pixels included.
        memory_gb: 10^9 bytes of weights alone, by precision. `float32` and `bfloat16`: 4 and 2
            bytes a parameter. `8bit` and `4bit`: linear layers, but for the head, as bitsandbytes
            keeps them (a byte a weight and 4 a row; half a byte a weight and 4 a block of 64), the
            rest in bfloat16.
        kv_mb_per_1000_tokens: 10^6 bytes of cache in bfloat16 that 1000 tokens of a row occupy
            while a model thinks or answers; plain embedding keeps none. 8 frames of 460 800 pixels
            are some 2400 tokens in Qwen2-VL. An upper bound where layers look back a window only.
        note: what a user must know besides.
    """

    name: str
    family: str
    parameters: int
    vision_parameters: int
    dimension: int
    layers: int
    context: int
    memory_gb: dict[str, float]
    kv_mb_per_1000_tokens: float
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Published:
    """A full-size checkpoint on the hub.

    Attributes:
        parameters: those of its files; a round number is a rounded one.
        added: parameters that its files lack, and that are random once it is loaded.
        source: where config and count come from.
    """

    name: str
    family: type[Family]
    model_type: str
    config: dict[str, Any]
    parameters: int
    source: str
    added: int = 0
    note: str = ""


def published() -> Iterator[Published]:
    """The checkpoints known of each family with an adapter, in the order of `FAMILIES`."""
    for family in FAMILIES:
        for model_type in family.model_types:
            file = files("kinoscope.backbones") / "configs" / f"{model_type}.json"
            if not file.is_file():
                continue
            known: dict[str, dict[str, Any]] = json.loads(file.read_text("utf-8"))
            for name, values in known.items():
                yield Published(
                    name=name,
                    family=family,
                    model_type=model_type,
                    config=known[values.get("like", name)]["config"],
                    parameters=values["published_parameters"],
                    source=values["source"],
                    added=values.get("added_parameters", 0),
                    note=values.get("note", ""),
                )


def entries() -> Iterator[CatalogueEntry]:
    """What each published checkpoint needs, built one by one on the meta device.

    Raises `SetupError` where Transformers is not installed.
    """
    for checkpoint in published():
        config = transformers().AutoConfig.for_model(checkpoint.model_type, **checkpoint.config)
        model = _built(checkpoint.family, config)
        yield _measured(model, checkpoint.family, checkpoint.name, checkpoint.note)


def describe(folder: Path) -> CatalogueEntry:
    """What the checkpoint in a folder needs, by its config alone: no weights are read.

    Where a config does not say that the head has weights of its own, they are not counted.
    Raises `UsageError`, naming what is supported, for a folder without a checkpoint that can embed
    video, and for a config that describes no model.
    """
    family = checked_family(folder)
    library = transformers()
    strict = imported("huggingface_hub.errors").StrictDataclassError
    known = (OSError, ImportError, ValueError, TypeError, KeyError, AttributeError, RuntimeError)
    try:
        if tarsier.is_tarsier(read_json(folder, "config.json")):
            config = tarsier.configuration(library, folder)
        else:
            config = library.AutoConfig.from_pretrained(
                str(folder), local_files_only=True, attn_implementation="eager"
            )
        model = _built(family, config)
    except (*known, ZeroDivisionError, strict) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(
            f"{folder / 'config.json'} describes no {family.model_class} that can be built"
            f" ({reason}): fetch the checkpoint again"
        ) from error
    return _measured(model, family, str(folder), "")


def table(found: Iterable[CatalogueEntry]) -> list[dict[str, object]]:
    """One row an entry, as strings and numbers: sizes in billions and gigabytes, rounded."""
    return [
        {
            "name": entry.name,
            "family": entry.family,
            "parameters": entry.parameters,
            "billions": round(entry.parameters / 1e9, 2),
            "vision_parameters": entry.vision_parameters,
            "dimension": entry.dimension,
            "layers": entry.layers,
            "context": entry.context,
            **{f"{precision}_gb": round(gb, 2) for precision, gb in entry.memory_gb.items()},
            "kv_mb_per_1000_tokens": round(entry.kv_mb_per_1000_tokens, 1),
            "note": entry.note,
        }
        for entry in found
    ]


def _built(family: type[Family], config: Any) -> Any:
    """The family's model of Transformers, its parameters shapes without values."""
    with torch().device("meta"):
        return getattr(transformers(), family.model_class)(config)


def _measured(model: Any, family: type[Family], name: str, note: str) -> CatalogueEntry:
    decoder = family(None, None).decoder(model.model)
    language = [*decoder.parameters(), *model.get_output_embeddings().parameters()]
    text = model.config.get_text_config()
    total = sum(values.numel() for values in model.parameters())
    head_dimension = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    layers = len(decoder.layers)
    cached = 2 * layers * text.num_key_value_heads * head_dimension  # a key and a value
    return CatalogueEntry(
        name=name,
        family=model.config.model_type,
        parameters=total,
        vision_parameters=total - sum(n.numel() for n in {id(n): n for n in language}.values()),
        dimension=text.hidden_size,
        layers=layers,
        context=text.max_position_embeddings,
        memory_gb=_memory_gb(model, total),
        kv_mb_per_1000_tokens=1000 * _HALF * cached / _MB,
        note=note,
    )


def _memory_gb(model: Any, parameters: int) -> dict[str, float]:
    """By precision; quantised are all linear layers, of the tower too, but for the head alone."""
    plain, head = torch().nn.Linear, model.get_output_embeddings()
    linear = [part for part in model.modules() if type(part) is plain and part is not head]
    weights = sum(part.weight.numel() for part in linear)
    rows = sum(part.out_features for part in linear)
    rest = _HALF * (parameters - weights)
    found = {
        "float32": _FULL * parameters,
        "bfloat16": _HALF * parameters,
        "8bit": rest + weights + _FULL * rows,
        "4bit": rest + weights / 2 + _FULL * weights / _BLOCK,
    }
    return {precision: size / _GB for precision, size in found.items()}
