"""Tiny checkpoints that tests of backbones share, each written once a run."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tiny import FAMILIES, tiny


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
