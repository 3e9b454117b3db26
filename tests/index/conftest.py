"""Little films in a folder of one's own, and an empty index for the model that sees colours."""

import shutil

import pytest

from kinoscope.index.store import Store
from tests.index.pixels import embedder, film


@pytest.fixture(scope="session")
def films(tmp_path_factory):
    """Four films, made once."""
    folder = tmp_path_factory.mktemp("films")
    return [film(folder / f"{seed}.mp4", seed) for seed in range(4)]


@pytest.fixture
def videos(tmp_path, films):
    """A folder of one's own with three films: a.mp4, b.mp4 and sub/c.mp4."""
    folder = tmp_path / "videos"
    (folder / "sub").mkdir(parents=True)
    for source, name in zip(films, ("a.mp4", "b.mp4", "sub/c.mp4"), strict=False):
        shutil.copy2(source, folder / name)
    return folder


@pytest.fixture
def store(tmp_path):
    return Store.create(tmp_path / "index", embedder().spec)
