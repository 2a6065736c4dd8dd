"""One browser window for each file of tests: its pages share what is loaded of JupyterLab."""

import pytest
from browser import jupyterlab


@pytest.fixture(scope="module")
def window():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=jupyterlab.find_browser(), args=jupyterlab.FLAGS
        )
        yield browser.new_context(viewport={"width": 1400, "height": 1300})
        browser.close()
