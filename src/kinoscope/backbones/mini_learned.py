"""The learned weights of `mini` as a file: matrices in a byte or two a number, read with care."""

import math
from pathlib import Path
from typing import Any, Literal, get_args

from kinoscope.backbones.checkpoint_files import Shapes, listed, opened, shape_misfit
from kinoscope.errors import UsageError
from kinoscope.libraries import imported, torch, transformers
from kinoscope.mini_weights import MiniFiles

Form = Literal["float16", "int8"]
FORMS: tuple[str, ...] = get_args(Form)

LEFT_OUT = ("embed_tokens", "lm_head")
"""Of the base files: word embeddings, and the head, which is the same again."""
WORDS = "model.embed_tokens.weight"

_SCALE = ".scale"  # behind the name of a weight: what a step is worth in each row
_MANY = 2**14
"""Vectors, and weights of fewer numbers, stay float32: they are little of the whole."""
_STEPS = 127

Layout = dict[str, tuple[str, tuple[int, ...]]]
"""Type, as safetensors calls it, and shape by name."""


def write_learned(path: Path, model: str, network: Any, form: Form) -> None:
    """Writes all weights of a network but those of the base files.

    Raises `UsageError` for a weight that is not finite, or that float16 cannot hold.
    """
    state = _packed(model, _learned(network), form)
    imported("safetensors.torch").save_file(state, path, {"format": "pt"})


def read_learned(path: Path, config: Any, form: str) -> dict[str, Any]:
    """The weights in float32 by name, of exactly the names and shapes that the model has.

    Raises `UsageError` for a file of other names, shapes or types, one that is damaged or cut off,
    and weights that are not finite.
    """
    shapes = _shapes(config)
    with opened(path) as stored:
        _check_layout(path, stored, _layout(shapes, form))
        found = {name: _read(stored, name, form, shape) for name, shape in shapes.items()}
    broken = [name for name, values in found.items() if not bool(values.isfinite().all())]
    if broken:
        raise UsageError(f"{path} has weights that are not finite ({broken[0]}): train it again")
    return found


def base_words(files: MiniFiles) -> Any:
    """The word embeddings of the base files, float32 [V, D]."""
    with opened(files.language_model / "model.safetensors") as stored:
        return stored.get_tensor(WORDS).float()


def quantised(weight: Any) -> tuple[Any, Any]:
    """Steps, int8 of the same shape, and what one is worth in each row [R].

    A row is all that makes one output, such as a channel of a convolution. Whoever multiplies them
    is off by half a step at most.
    """
    flat_RN = weight.float().flatten(1)
    least = torch().finfo(torch().float32).tiny  # for a row of zeros
    scale_R = (flat_RN.abs().amax(dim=1) / _STEPS).clamp(min=least)
    steps_RN = (flat_RN / scale_R[:, None]).round().clamp(-_STEPS, _STEPS)
    return steps_RN.to(torch().int8).view_as(weight), scale_R


def dequantised(steps: Any, scale_R: Any) -> Any:
    """The reverse of `quantised`, float32."""
    return (steps.flatten(1).float() * scale_R[:, None]).view_as(steps)


def _learned(network: Any) -> dict[str, Any]:
    return {
        name: values.detach().cpu()
        for name, values in sorted(network.named_parameters())
        if not any(word in name for word in LEFT_OUT)
    }


def _packed(model: str, weights: dict[str, Any], form: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, values in weights.items():
        if _is_small(tuple(values.shape)):
            found[name] = values.float()
        elif form == "int8":
            found[name], found[name + _SCALE] = quantised(values)
        else:
            found[name] = values.to(torch().float16)
        telling = found.get(name + _SCALE, found[name])  # a scale is infinite if a weight is
        if not bool(telling.isfinite().all()):
            raise UsageError(
                f"{model} has weights ({name}) that {form} cannot hold: train it again"
            )
    return {name: values.contiguous() for name, values in found.items()}


def _is_small(shape: tuple[int, ...]) -> bool:
    return len(shape) < 2 or math.prod(shape) < _MANY


def _layout(shapes: Shapes, form: str) -> Layout:
    """What a file has for weights of these shapes."""
    found: Layout = {}
    for name, shape in shapes.items():
        if _is_small(shape):
            found[name] = ("F32", shape)
        elif form == "int8":
            found |= {name: ("I8", shape), name + _SCALE: ("F32", shape[:1])}
        else:
            found[name] = ("F16", shape)
    return found


def _shapes(config: Any) -> Shapes:
    """Of what is learned, without memory for any of it."""
    transformers()
    from kinoscope.backbones.mini_model import MiniForConditionalGeneration

    with torch().device("meta"):
        network = MiniForConditionalGeneration(config)
    return {
        name: tuple(values.shape)
        for name, values in network.named_parameters()
        if not any(word in name for word in LEFT_OUT)
    }


def _check_layout(path: Path, stored: Any, wanted: Layout) -> None:
    names = stored.keys()
    slices = {name: stored.get_slice(name) for name in names}
    shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
    fault = shape_misfit(shapes, {name: shape for name, (_kind, shape) in wanted.items()})
    kinds = {name: slices[name].get_dtype() for name in wanted if name in slices}
    other = [f"{name} is {kind}" for name, kind in kinds.items() if kind != wanted[name][0]]
    if fault or other:
        fault = fault or f"has weights of another type ({listed(other)})"
        raise UsageError(f"{path} does not fit mini: it {fault}; copy the whole folder again")


def _read(stored: Any, name: str, form: str, shape: tuple[int, ...]) -> Any:
    values = stored.get_tensor(name)
    if form == "int8" and not _is_small(shape):
        return dequantised(values, stored.get_tensor(name + _SCALE))
    return values.float()
