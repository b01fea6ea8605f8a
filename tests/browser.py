"""A headless Chromium for the tests that look at pages; where there is none they are skipped."""

import shutil
from contextlib import contextmanager

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def browser_page(width: int = 1100, height: int = 900):
    """An empty page; ``page.requested`` holds the addresses that it asked for, ``page.said`` its errors."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    if chromium is None:
        pytest.skip(f"needs a browser: none of {', '.join(NAMES)} is on the path")
    with playwright.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": height})
        page.requested, page.said = [], []
        page.on("request", lambda request: page.requested.append(request.url))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("console", lambda line: page.said.append(line.text) if line.type == "error" else None)
        try:
            yield page
        finally:
            browser.close()


LOADED = "() => [...document.images].every((image) => image.complete && image.naturalWidth > 0)"
