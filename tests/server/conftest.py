"""One library for all tests of the server that leave it as it is."""

import pytest

from tests.server.made import make_library, served


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """Folders of videos and index; tests must not change them."""
    return make_library(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def client(library, tmp_path_factory):
    """A server that anybody on this machine may ask."""
    with served(library[1], tmp_path_factory.mktemp("cache")) as asking:
        yield asking
