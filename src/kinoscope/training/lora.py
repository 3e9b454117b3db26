"""LoRA for the language model of a multimodal LLM: put on before a training, merged behind it.

    add_lora(backbone, rank=16)
    Lessons(backbone, library, LessonConfig(trained=("lora_", "connector")))  # and a projector
    merge_lora(backbone)

Where the projector is a part of the tower, as `visual.merger` of Qwen-VL, name it so, and nothing
in `frozen` that is in its name.
"""

from collections.abc import Container
from typing import Any

import torch

from kinoscope.backbones.mllm import MLLM
from kinoscope.errors import UsageError
from kinoscope.libraries import imported

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The linear layers of all the families' decoders: of attention, and of what follows it."""

_INSTALL = "pip install 'kinoscope[train]'"
_OWN = "base_layer"  # PEFT's name of the layer that an adapter stands beside


def add_lora(
    backbone: MLLM, *, rank: int = 16, alpha: int = 32, targets: tuple[str, ...] = TARGETS
) -> None:
    """Puts an adapter beside linear layers of the language model, and freezes all other weights.

    It is float32, the same each time, and changes nothing before it is trained. The vision tower
    never gets one.

    Args:
        backbone: is changed in place.
        rank: directions in which each layer can change.
        alpha: what the adapter adds is multiplied by `alpha / rank`.
        targets: last parts of the layers' names.

    Raises `UsageError` for layers that the decoder has not, or for a model that has an adapter.
    """
    if rank < 1 or alpha < 1:
        raise UsageError(f"rank {rank}, alpha {alpha}: choose 1 or more")
    layers = _layers(backbone)
    if _worn(layers):
        raise UsageError(f"{backbone.model} has a LoRA already: merge it first")
    linear = {
        name.rpartition(".")[2]
        for name, part in layers.named_modules()
        if isinstance(part, torch.nn.Linear)
    }
    absent = [name for name in targets if name not in linear]
    if absent or not targets:
        raise UsageError(
            f"targets {', '.join(absent) or 'nothing'} of the LoRA: {backbone.model} has"
            f" {', '.join(sorted(linear))}"
        )
    peft = imported("peft", _INSTALL)
    config = peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(targets))
    backbone.checkpoint.model.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):  # the same beginning each time
        torch.manual_seed(0)
        peft.inject_adapter_in_model(config, layers)
    for name, values in layers.named_parameters():
        if "lora_" in name:
            values.data = values.data.float()


def merge_lora(backbone: MLLM) -> None:
    """Adds the adapter to the layers beside it, in place: then the model is a plain one again.

    Nothing happens to a model without one.
    Raises `UsageError` if weights are not finite; the layers before are then merged already.
    """
    layers = _layers(backbone)
    for name, part in _worn(layers).items():
        try:
            part.merge(safe_merge=True)
        except ValueError as error:
            raise UsageError(f"the LoRA at {name} is not finite: train it again") from error
        parent, _, own = name.rpartition(".")
        setattr(layers.get_submodule(parent), own, part.get_base_layer())
    if hasattr(layers, "peft_config"):
        del layers.peft_config


def name_beside_lora(name: str, known: Container[str]) -> str:
    """A weight's name in a model with an adapter: `q_proj.weight` is `q_proj.base_layer.weight`.

    The name itself where the model knows it, or knows neither.
    """
    layer, _, kind = name.rpartition(".")
    beside = f"{layer}.{_OWN}.{kind}"
    return beside if name not in known and beside in known else name


def _layers(backbone: MLLM) -> Any:
    checkpoint = backbone.checkpoint
    return checkpoint.family.decoder(checkpoint.model.model).layers


def _worn(layers: Any) -> dict[str, Any]:
    """Layers with an adapter, by name."""
    return {name: part for name, part in layers.named_modules() if hasattr(part, _OWN)}
