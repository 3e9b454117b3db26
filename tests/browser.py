"""A Chromium that is installed already, without a window; and what is asked of a page in it."""

import json
import shutil
import time
from contextlib import contextmanager

import pytest

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
PATIENCE_MS = 300_000
"""On a busy machine a browser is slow; on an idle one nothing takes a second."""

needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium: apt-get install chromium")


@contextmanager
def launched():
    """The browser; within it no other event loop can run in this thread."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=BROWSER, args=["--no-sandbox"], timeout=PATIENCE_MS
        )
        yield browser
        browser.close()


def until(tab, script, argument=None):
    """Asked from here, again and again: the page's own policy lets it evaluate nothing."""
    end_s = time.monotonic() + PATIENCE_MS / 1000
    while not tab.evaluate(script, argument):
        assert time.monotonic() < end_s, script
        tab.wait_for_timeout(50)


def plays(tab, inside="#inside"):
    """Waits until a video there shows a picture."""
    video = f"document.querySelector('{inside} video')"
    until(tab, f"(v => v && v.readyState >= 2 && v.videoWidth)({video})")


def play_time(tab, inside="#inside"):
    """Where the video is."""
    return tab.evaluate(f"document.querySelector('{inside} video').currentTime")


def check_page(tab, width, record):
    """No finding of axe, nothing wider than the page; all findings are recorded before that."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(tab).response["violations"]
    told = [
        {"page": tab.url, "id": v["id"], "impact": v["impact"], "nodes": len(v["nodes"])}
        for v in found
    ]
    record("axe", json.dumps(told))
    assert not found, [(v["id"], [n["html"] for n in v["nodes"]]) for v in found]
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
