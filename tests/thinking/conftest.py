"""Backbones that think: tiny ones of several families, and the small one of our own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kinoscope.backbones import mini
from kinoscope.backbones.mini import untrained_mini
from kinoscope.backbones.mllm import MLLM
from kinoscope.mini_weights import MiniFiles
from tests.backbones.checks import loaded
from tests.backbones.conftest import checkpoint as checkpoint
from tests.tiny import FAMILIES as ALL_FAMILIES
from tests.tiny_mini import Tower, as_if_trained

FAMILIES = ("mini", "qwen2_5_vl", "paligemma2")
"""Two with positions of their own kind; the last bounds its logits and scales its inputs."""


@pytest.fixture(scope="session", autouse=True)
def _small_models(one_torch_thread: None) -> None:
    """All models here are tiny."""


@pytest.fixture(scope="session")
def tiny_mini(mini_base: MiniFiles) -> MLLM:
    """Two layers; tests must not change it."""
    return as_if_trained(untrained_mini(mini_base, layers=2))


@pytest.fixture
def made(
    checkpoint: Callable[[str], Path], tiny_mini: MLLM, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], MLLM]:
    """The backbone of a family's name; tests must not change it."""
    monkeypatch.setattr(mini, "open_session", lambda *_arguments: Tower())
    return lambda family: tiny_mini if family == "mini" else loaded(checkpoint(family))


@pytest.fixture(params=FAMILIES)
def backbone(request: pytest.FixtureRequest, made: Callable[[str], MLLM]) -> MLLM:
    """One of each of `FAMILIES`."""
    return made(request.param)


@pytest.fixture(params=("mini", *ALL_FAMILIES))
def any_backbone(request: pytest.FixtureRequest, made: Callable[[str], MLLM]) -> MLLM:
    """One of each family that there is."""
    return made(request.param)
