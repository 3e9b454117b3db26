"""Tiny checkpoints that tests of backbones share, each written once a run."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kinoscope.backbones import mini_folder
from kinoscope.backbones.mini import SAMPLING, untrained_mini
from kinoscope.backbones.mllm import MLLM
from kinoscope.mini_weights import MiniFiles
from tests.tiny import FAMILIES, tiny
from tests.tiny_mini import as_if_trained


@pytest.fixture(scope="session", autouse=True)
def _small_models(one_torch_thread: None) -> None:
    """All models here are tiny."""


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder with a tiny checkpoint of a family, written once; tests must not change it."""
    made: dict[str, Path] = {}

    def make(family: str) -> Path:
        if family not in made:
            made[family] = tiny(family, tmp_path_factory.mktemp("tiny") / family)
        return made[family]

    return make


@pytest.fixture(scope="session")
def folders(checkpoint: Callable[[str], Path]) -> dict[str, Path]:
    """The folder of every family's tiny checkpoint; tests must not change them."""
    return {family: checkpoint(family) for family in FAMILIES}


@pytest.fixture(scope="session")
def trained_mini(mini_base: MiniFiles) -> MLLM:
    """A `mini` as after training; tests must not change it."""
    return as_if_trained(untrained_mini(mini_base, layers=2))


@pytest.fixture
def saved_mini(trained_mini: MLLM, mini_set_up: None, tmp_path: Path) -> Path:
    """Its folder in int8, to be damaged."""
    mini_folder.save_mini(trained_mini, SAMPLING, tmp_path / "saved")
    return tmp_path / "saved"
