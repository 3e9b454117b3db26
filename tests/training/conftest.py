"""What tests of training share: the base files of a tiny `mini`, as if setup had made them."""

from pathlib import Path

import pytest

from kinoscope.backbones import mini, mini_folder
from kinoscope.mini_weights import MiniFiles
from tests.tiny_mini import Tower, tiny_mini_files


@pytest.fixture(scope="session")
def mini_base(tmp_path_factory: pytest.TempPathFactory) -> MiniFiles:
    """Tests must not change them."""
    return tiny_mini_files(tmp_path_factory.mktemp("base"))


@pytest.fixture
def mini_set_up(
    mini_base: MiniFiles, no_network: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> MiniFiles:
    """They are the ones that are found; the user's cache stays as it is."""
    monkeypatch.setenv("KINOSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(mini, "open_session", lambda *_arguments: Tower())
    monkeypatch.setattr(mini_folder, "mini_files", lambda: mini_base)
    return mini_base
