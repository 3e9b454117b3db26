"""PyTorch and Transformers, imported in one place, or a sentence on how to install them."""

import importlib
from importlib.util import find_spec
from typing import Any

from kinoscope.errors import SetupError

MODELS = "pip install 'kinoscope[models]'"
_OPERATORS = ("nms", "qnms")
_declared: list[Any] = []  # a torch.library.Library takes its operators with it when it is freed


def torch() -> Any:
    """The `torch` module; `SetupError` with the install command where it is absent."""
    return imported("torch")


def transformers() -> Any:
    """The `transformers` module, safe beside any torchvision."""
    torch()
    _mend_torchvision()
    return imported("transformers")


def video_processors() -> Any:
    """The `transformers` module, of which all video processors work: they need torchvision."""
    if find_spec("torchvision") is None:
        raise SetupError(f"multimodal models need torchvision: {MODELS}")
    return transformers()


def imported(name: str, install: str = MODELS) -> Any:
    """An optional module; `SetupError` with the install command where it is absent."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SetupError(f"this needs {name} ({error}): {install}") from error


def _mend_torchvision() -> None:
    """Makes torchvision importable, also the registry's build beside a PyTorch for the CPU.

    That build was compiled for CUDA: its import fails because two operators, which no processor
    uses, do not exist, and takes most of Transformers with it. Declared, and only then, they let
    it pass.
    """
    if find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if torch().version.cuda is not None or "does not exist" not in str(error):
            raise SetupError(f"torchvision does not fit this PyTorch ({error})") from error
        operators = torch().library.Library("torchvision", "DEF")
        for name in _OPERATORS:
            operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _declared.append(operators)
        importlib.import_module("torchvision")
