"""A real JupyterLab on loopback, and a headless Chromium that uses it as a reader does."""

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_lib import publish

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Those that a container needs (root, no GPU), and those that keep the browser off the network.
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
SETTINGS = {
    # Outputs outside the window stay in the page, where the test looks for them.
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
# The page's own copy of a picture: the bytes behind the address of the <img>.
BYTES = """
async picture => {
    const answer = await fetch(picture.src);
    const digest = await crypto.subtle.digest("SHA-256", await answer.arrayBuffer());
    return Array.from(new Uint8Array(digest)).join(" ");
}
"""

# Runs code in the notebook's kernel without a cell.
EXECUTE = """
async code => {
    const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    const answer = await kernel.requestExecute({code}).done;
    return answer.content.status;
}
"""
# Takes every listener off every widget, so that a panel looks alive and does nothing.
UNHOOK = """
from ipywidgets.widgets.widget import _instances
for widget in _instances.values():
    widget.unobserve_all()
    getattr(widget, "_click_handlers", type("", (), {})).callbacks = []
"""

# What has come of a run: "done", the text of an error, or nothing as long as cells are waiting.
OUTCOME = """
() => {
    const texts = [...document.querySelectorAll("[data-mime-type$='jupyter.stderr']")];
    const error = texts.find(text => text.textContent.includes("Traceback (most recent"));
    const cells = [...document.querySelectorAll(".jp-Notebook .jp-CodeCell")]
        .filter(cell => cell.querySelector(".cm-content").textContent.trim());
    const numbered = cells.filter(
        cell => /\\[\\d+\\]/.test(cell.querySelector(".jp-InputArea-prompt").textContent));
    return error ? error.textContent : cells.length === numbered.length ? "done" : "";
}
"""


def find_browser() -> str | None:
    """Returns the path of an installed Chromium or Chrome, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _environment(folder: Path) -> dict[str, str]:
    """JupyterLab with settings of its own: the reader's stay as they are, and do not matter."""
    environment = {**os.environ, "IPYTHONDIR": str(folder / "ipython"), "COURSE_SPEED": "smoke"}
    names = ["JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"]
    names += ["JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR"]
    environment |= {name: str(folder / name.lower()) for name in names}
    for name, setting in SETTINGS.items():
        path = folder / "jupyterlab_settings_dir" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(setting), encoding="utf-8")
    return environment


@contextlib.contextmanager
def server(notebooks: Path, folder: Path) -> Iterator[str]:
    """Starts JupyterLab on a folder of notebooks; yields its address.

    In the address, {workspace} stands for any name, a new one for each page (a workspace opens
    again what was open in it), and {path} for the path of a notebook.

    Args:
        notebooks: The folder that it shows.
        folder: An empty folder for its settings and its log.
    """
    port, token = _free_port(), secrets.token_hex(16)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
    ]
    command += [f"--ServerApp.root_dir={notebooks}", f"--IdentityProvider.token={token}"]
    command += ["--LabApp.expose_app_in_browser=True"]  # for `NotebookPage.execute`
    log = (folder / "server.log").open("wb")
    process = subprocess.Popen(
        command, env=_environment(folder), stdin=subprocess.DEVNULL, stdout=log, stderr=log
    )
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}/api?token={token}", process, folder)
        yield f"http://127.0.0.1:{port}/lab/workspaces/{{workspace}}/tree/{{path}}?token={token}"
    finally:
        process.terminate()  # it ends its kernels first
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def _wait_until_ready(address: str, process: subprocess.Popen, folder: Path) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), direct.open(address, timeout=5):
            return
        time.sleep(0.1)
    raise RuntimeError("JupyterLab did not start:\n" + (folder / "server.log").read_text()[-3000:])


def write(path: Path, *sources: str) -> None:
    """Writes a notebook of these code cells."""
    cells = [new_markdown_cell("# A panel"), *map(new_code_cell, sources)]
    metadata = {"kernelspec": publish.KERNEL, "language_info": publish.LANGUAGE}
    nbformat.write(new_notebook(cells=cells, metadata=metadata), path)


class NotebookPage:
    """A notebook open in the browser. What is done, is done as a reader does it."""

    def __init__(self, page, address: str):
        """Opens it and waits for its kernel. `page` is Playwright's."""
        self.page = page
        page.set_default_timeout(60_000)
        self.errors: list[str] = []  # what a reader would find in the browser's console
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._note)
        page.goto(address)
        page.locator(".jp-Notebook .jp-Cell").first.wait_for()
        page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for()

    def _note(self, message) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def run_all(self, *, seconds: float) -> None:
        """Chooses Run > Run All Cells and waits until every cell has its number.

        Raises:
            AssertionError: If a cell stops with an error; the message is what the page shows.
        """
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        outcome = self.page.wait_for_function(OUTCOME, timeout=seconds * 1000).json_value()
        assert outcome == "done", outcome

    def execute(self, code: str) -> None:
        """Runs code in the kernel that no reader would: to break a panel, for a negative control.

        Raises:
            AssertionError: If the code fails.
        """
        assert self.page.evaluate(EXECUTE, code) == "ok"

    def click(self, name: str) -> None:
        """Clicks a button in an output, by what stands on it."""
        outputs = self.page.locator(".jp-OutputArea")
        outputs.get_by_role("button", name=name, exact=True).click()

    def expect(self, pattern: str, *, seconds: float = 60) -> str:
        """Waits until an output says something; returns the whole text of that element."""
        text = self.page.locator(".jp-OutputArea").get_by_text(re.compile(pattern)).first
        text.wait_for(timeout=seconds * 1000)
        return text.text_content()

    def close(self) -> None:
        """Closes the page, which must have shown no error.

        Raises:
            AssertionError: If the console or a cell's stderr holds something.
        """
        assert self.errors == []
        assert self.page.locator("[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
        self.page.close()

    def slider(self, number: int = 0):
        """The handle of a slider, by its number from the top."""
        handle = self.page.locator(".jp-OutputArea").get_by_role("slider").nth(number)
        handle.wait_for()
        return handle

    def picture(self, number: int = 0):
        """The picture of an ipywidgets.Image, by its number from the top."""
        picture = self.page.locator("img.widget-image").nth(number)
        picture.wait_for()
        return picture

    def bytes_of(self, picture) -> str:
        """A digest of the bytes that the browser shows."""
        return picture.evaluate(BYTES)

    def wait_for_new_bytes(self, picture, old: str, *, seconds: float) -> str:
        """Looks until the browser shows other bytes. Raises `TimeoutError` if it never does."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if (new := self.bytes_of(picture)) != old:
                return new
            self.page.wait_for_timeout(50)
        raise TimeoutError(f"the picture was the same for {seconds:g} s")


class PanelPage:
    """A notebook on its page whose first output is a panel with one picture."""

    def __init__(self, window, address: str, name: str, *, seconds: float = 240):
        address = address.format(workspace=secrets.token_hex(4), path=name)
        self.notebook = NotebookPage(window.new_page(), address)
        self.notebook.run_all(seconds=seconds)
        self.page, self.picture = self.notebook.page, self.notebook.picture()

    def changes(self, act, *, seconds: float = 30) -> None:
        """Acts, and waits for another picture."""
        before = self.notebook.bytes_of(self.picture)
        act()
        self.notebook.wait_for_new_bytes(self.picture, before, seconds=seconds)

    def tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name).click()
