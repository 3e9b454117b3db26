"""One library for all tests of the server that leave it as it is, and a browser to look at it."""

import os

import pytest

from tests.browser import PATIENCE_MS, launched
from tests.server.made import make_library, served

SHOTS = os.environ.get("KINOSCOPE_SHOTS")
"""A folder for screenshots, to be looked at."""


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """Folders of videos and index; tests must not change them."""
    return make_library(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def client(library, tmp_path_factory):
    """A server that anybody on this machine may ask."""
    with served(library[1], tmp_path_factory.mktemp("cache")) as asking:
        yield asking


@pytest.fixture(scope="module")
def chromium():
    with launched() as browser:
        yield browser


@pytest.fixture
def tab_of(chromium, request):
    """Opens a page at an address; what the browser complains about fails the test.

    `leave` ends a page whose server is about to end.
    """
    contexts, said, shots = [], [], []

    def opened(address, *, width=1280, height=800, scheme="light", **settings):
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, **settings
        )
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda line: said.append(line.text) if line.type == "error" else None)
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.goto(address)
        return tab

    def shoot(tab):
        if SHOTS and tab.url != "about:blank":
            shots.append(f"{SHOTS}/{request.node.name}-{len(shots)}.png")
            tab.screenshot(path=shots[-1], full_page=True)

    def leave(tab):
        shoot(tab)
        tab.goto("about:blank")

    opened.said, opened.leave = said, leave
    yield opened
    for context in contexts:
        for tab in context.pages:
            shoot(tab)
        context.close()
    assert not [line for line in said if "429" not in line]
