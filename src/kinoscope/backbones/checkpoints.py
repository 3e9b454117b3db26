"""What is done to a loaded checkpoint as a whole: an adapter merged into it, all of it saved."""

import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kinoscope.backbones.checkpoint_files import (
    SETTINGS,
    listed,
    opened,
    read_json,
    reason,
    shape_misfit,
    weight_shapes,
)
from kinoscope.backbones.mini import Mini
from kinoscope.backbones.mini_folder import save_mini
from kinoscope.backbones.mllm import MLLM, Checkpoint
from kinoscope.backbones.new_folder import new_folder
from kinoscope.backbones.protocol import Backbone
from kinoscope.backbones.tarsier import Tarsier2
from kinoscope.errors import UsageError
from kinoscope.libraries import imported, torch
from kinoscope.prompts import TEMPLATES
from kinoscope.sampling import SamplingConfig

ADAPTER_SETTINGS = "adapter_config.json"
"""What makes a folder a PEFT adapter."""

_ADAPTER_WEIGHTS = "adapter_model.safetensors"
_PREFIX = "base_model.model."  # PEFT's, of every name
_LORA = re.compile(r"\.lora_\w+(\.weight|\.bias)?$")
_LIBRARY = re.compile(r"transformers\.models\.(\w+)\.")


def merge_adapter(network: Any, decoder: Any, folder: Path) -> None:
    """Merges a LoRA that PEFT saved into the weights of a loaded model, in place.

    It may have been trained on the whole multimodal LLM, on its language model, or on that without
    its head, and saved by an older Transformers: the names of its weights tell.

    Args:
        network: the model with its head.
        decoder: the text model in it.
        folder: holds `adapter_config.json` and `adapter_model.safetensors`.

    Raises `UsageError` for an adapter of another kind, family or shape, or with broken weights.
    """
    values = read_json(folder, ADAPTER_SETTINGS)
    weights = folder / _ADAPTER_WEIGHTS
    _check_kind(folder, values)
    origin = _origin(values)
    _check_origin(folder, values, network, decoder)
    shapes = weight_shapes([weights])
    root = _root(folder, origin, shapes, network, decoder)
    worn = _wearing(root, folder)
    state = imported("peft").get_peft_model_state_dict(worn, save_embedding_layers=False)
    fault = shape_misfit(shapes, {name: tuple(v.shape) for name, v in state.items()})
    if fault:
        raise UsageError(f"adapter {folder} (made for {origin}) does not fit: it {fault}")
    with opened(weights) as stored, torch().no_grad():
        for name, tensor in state.items():
            tensor.copy_(stored.get_tensor(name))
    try:
        worn.merge_and_unload(safe_merge=True)
    except ValueError as error:
        raise UsageError(f"adapter {folder} has weights that are not finite: train it again") from (
            error
        )


def save_checkpoint(
    backbone: Backbone,
    sampling: SamplingConfig,
    folder: Path,
    *,
    also: Callable[[Path], None] | None = None,
) -> None:
    """Writes a multimodal LLM whole: weights, processor, and `kinoscope.json` with how it embeds.

    Plain Transformers loads the folder, and `Embedder.load` gives the same vectors from it; of
    `mini` it is a mini folder instead. The folder is there complete or not at all; `also` writes
    what else belongs into it before it is in place.
    Raises `UsageError` for a folder that is not empty, a model that is no checkpoint, is quantised
    or has no head, and a disk that refuses.
    """
    checkpoint = _savable(backbone)
    if isinstance(backbone, MLLM) and isinstance(checkpoint.family, Mini):
        save_mini(backbone, sampling, folder, form="float16", also=also)
        return
    settings = {
        "template": checkpoint.template.name,
        "layer": checkpoint.layer,
        "sampling": sampling.describe(),
    }
    if isinstance(checkpoint.family, Tarsier2):
        settings["family"] = Tarsier2.name
    with new_folder(folder) as partial:
        # under the names that it came with, but for Tarsier2, whose configuration is Qwen2-VL's now
        ours = isinstance(checkpoint.family, Tarsier2)
        checkpoint.model.save_pretrained(partial, save_original_format=not ours)
        checkpoint.family.processor.save_pretrained(partial)
        (partial / SETTINGS).write_text(json.dumps(settings, indent=1))
        if also is not None:
            also(partial)


def _savable(backbone: Backbone) -> Checkpoint:
    """What is to be saved; raises `UsageError` for what a folder could not give back."""
    if not isinstance(backbone, MLLM):
        raise UsageError(f"model {backbone.model!r} is no checkpoint: save a multimodal LLM")
    checkpoint = backbone.checkpoint
    if getattr(checkpoint.model, "is_quantized", False):
        raise UsageError(
            f"{backbone.model} is quantised, so its own weights are gone: load it without"
            " quantisation to save it"
        )
    pooled = checkpoint.pooling != "last" or checkpoint.truncate_dim is not None
    if pooled or checkpoint.template.name not in TEMPLATES:
        raise UsageError(
            f"{backbone.model} embeds by the prompts or pooling of sentence-transformers: save it"
            " in that form"
        )
    if any("lora_" in name for name, _ in checkpoint.model.named_parameters()):
        raise UsageError(f"{backbone.model} wears a LoRA: merge it (merge_lora) to save the whole")
    if not checkpoint.model.get_output_embeddings().weight.any():
        raise UsageError(f"{backbone.model} has no language-model head: there is no whole to save")
    return checkpoint


def _check_kind(folder: Path, values: dict[str, Any]) -> None:
    kind = values.get("peft_type")
    if kind != "LORA":
        raise UsageError(f"adapter {folder} is of the kind {kind}: supported is LORA")
    if not (folder / _ADAPTER_WEIGHTS).is_file():
        pickled = (folder / "adapter_model.bin").is_file()
        has = "its weights as a pickle, which may run code" if pickled else "no weights"
        raise UsageError(f"adapter {folder} has {has}: save them as {_ADAPTER_WEIGHTS}")


def _origin(values: dict[str, Any]) -> str:
    """What an adapter says that it was made for."""
    mapping = values.get("auto_mapping") or {}
    names = (values.get("base_model_name_or_path"), mapping.get("base_model_class"))
    return ", ".join(str(name) for name in names if name) or "a model without a name"


def _check_origin(folder: Path, values: dict[str, Any], network: Any, decoder: Any) -> None:
    """An adapter that names its family is not for another, even if all its shapes fit."""
    library = (values.get("auto_mapping") or {}).get("parent_library")
    made_for = _LIBRARY.match(str(library))
    here = [_LIBRARY.match(type(part).__module__) for part in (network, decoder)]
    families = [found[1] for found in here if found]
    if made_for and made_for[1] not in families:
        raise UsageError(
            f"adapter {folder} is for the family {made_for[1]} ({_origin(values)}), and this is"
            f" {' on '.join(dict.fromkeys(families))}: name its own base"
        )


def _root(folder: Path, origin: str, names: Any, network: Any, decoder: Any) -> Any:
    """The part of a model that an adapter was trained on: the one that has all its modules."""
    modules = sorted({_module(name) for name in names})
    absent = [
        (root, [name for name in modules if not _has(root, name)])
        for root in _roots(network, decoder)
    ]
    root, missing = min(absent, key=lambda pair: len(pair[1]))  # the first of equals
    if missing:
        raise UsageError(
            f"adapter {folder} (made for {origin}) does not fit {type(network).__name__}, which"
            f" has no {listed(missing)}: name its own base"
        )
    return root


def _roots(network: Any, decoder: Any) -> list[Any]:
    """What people train adapters on; the last three as older versions of Transformers named it."""
    head = network.get_output_embeddings()
    eyes = {name: part for name, part in network.model.named_children() if part is not decoder}
    alone = {"model": decoder, "lm_head": head}
    whole_then = {"language_model": torch().nn.ModuleDict(alone), **eyes}
    named = (alone, {**alone, **eyes}, whole_then)
    return [network, decoder, *(torch().nn.ModuleDict(parts) for parts in named)]


def _module(name: str) -> str:
    """base_model.model.layers.0.q_proj.lora_A.weight -> layers.0.q_proj."""
    inner = name.removeprefix(_PREFIX)
    cut = _LORA.sub("", inner)
    return cut if cut != inner else inner.rpartition(".")[0]


def _has(root: Any, module: str) -> bool:
    try:
        root.get_submodule(module)
    except AttributeError:
        return False
    return True


def _wearing(root: Any, folder: Path) -> Any:
    """The part of a model with the adapter's layers in it, whose weights are still to come."""
    peft = imported("peft")
    try:
        config = peft.LoraConfig.from_pretrained(str(folder))
        config.task_type = None  # the part may lack the methods of a task
        config.inference_mode = True
        with warnings.catch_warnings():  # PEFT asks Transformers by an old name
            warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)
            return peft.PeftModel(root, config)
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(
            f"adapter {folder} has settings that PEFT does not take ({reason(error)}): save it"
            " again"
        ) from error
