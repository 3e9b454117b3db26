"""A Chromium that is installed already, without a window."""

import shutil
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
