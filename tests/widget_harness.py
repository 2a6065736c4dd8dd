"""Moves the widgets of a real kernel through real messages, as a browser would.

    with NotebookKernel(folder) as kernel:
        kernel.run_notebook(path)
        (slider,), (image,) = kernel.widgets("FloatSlider"), kernel.widgets("Image")
        kernel.change(slider, value=0.5)
        kernel.wait_for_image(image)

A widget test asserts what the reader sees, a new picture or a new text, never the value that it has
just sent; and the same test has to fail after `kernel.unhook(slider)`.
"""

import contextlib
import json
import queue
import time
from collections.abc import Iterable
from pathlib import Path

import nbformat
from jupyter_client.manager import start_new_kernel

# What every interactive widget has, by the name of its class: its model.
FIND = """\
import json as _json
from ipywidgets.widgets.widget import _instances as _all
print(_json.dumps([key for key, w in _all.items() if type(w).__name__ == {kind!r}]))
"""
UNHOOK = """\
from ipywidgets.widgets.widget import _instances as _all
_all[{model!r}].unobserve_all()
getattr(_all[{model!r}], "_click_handlers", type("", (), {{}})).callbacks = []
"""


class CellFailed(AssertionError):
    """A cell stopped with an error; the message is its traceback."""


class NotebookKernel:
    """A running IPython kernel and all that its widgets have sent so far."""

    def __init__(self, folder: Path, *, subshell: bool = False, seconds: float = 60.0):
        """Starts a kernel in a folder.

        Args:
            folder: Folder in which the kernel runs.
            subshell: If True, messages to widgets take the second way into the kernel that
                JupyterLab uses; otherwise the one that VS Code and Colab use.
            seconds: Time limit of whatever is waited for.
        """
        self._folder, self._subshell, self._seconds = folder, subshell, seconds
        self._subshell_id: str | None = None
        self._unanswered: str | None = None  # the message to a widget that still has no end
        self.state: dict[str, dict] = {}  # model -> trait -> last value sent by the kernel
        self.images: dict[str, list[bytes]] = {}  # model -> all pictures, in order
        self.messages = 0  # that widgets have sent: what a Jupyter server counts, and limits

    def __enter__(self) -> "NotebookKernel":
        self._manager, self._client = start_new_kernel(kernel_name="python3", cwd=str(self._folder))
        if self._subshell:
            request = self._client.session.msg("create_subshell_request", {})
            self._client.control_channel.send(request)
            reply = self._client.get_control_msg(timeout=self._seconds)
            self._subshell_id = reply["content"]["subshell_id"]
        return self

    def __exit__(self, *_: object) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()

    def run(self, source: str) -> str:
        """Runs a cell; returns what it prints. Raises `CellFailed` with the traceback."""
        message = self._client.execute(source)
        printed: list[str] = []

        def is_done(received: dict) -> bool:
            if received["parent_header"].get("msg_id") != message:
                return False
            content = received["content"]
            if received["msg_type"] == "error":
                raise CellFailed("\n".join(content["traceback"]))
            if received["msg_type"] == "stream":
                printed.append(content["text"])
            return content.get("execution_state") == "idle"

        self._receive(is_done, what=f"the end of the cell {source[:60]!r}")
        return "".join(printed)

    def run_notebook(self, path: Path) -> None:
        """Runs all code cells of a notebook."""
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                self.run(cell.source)

    def widgets(self, kind: str) -> list[str]:
        """The models of all widgets of a class, such as "FloatSlider", in order of creation."""
        return json.loads(self.run(FIND.format(kind=kind)).splitlines()[-1])

    def unhook(self, model: str) -> None:
        """Takes everything off a widget that would act on it: the negative control of a test."""
        self.run(UNHOOK.format(model=model))

    def change(self, model: str, **traits: object) -> None:
        """Sends what a browser sends when the reader moves a slider or types into a box.

        Raises:
            TimeoutError: If the kernel does not take in what was sent before.
        """
        self._send(model, {"method": "update", "state": traits, "buffer_paths": []})

    def click(self, model: str) -> None:
        """Sends what a browser sends when the reader clicks a button."""
        self._send(model, {"method": "custom", "content": {"event": "click"}})

    def wait_for_image(self, model: str, *, more_than: int = 0, seconds: float | None = None):
        """Waits until an Image has sent a picture after the first `more_than`; returns the newest.

        Raises:
            TimeoutError: If none comes.
        """

        def is_there(_: dict) -> bool:
            return len(self.images.get(model, [])) > more_than

        if not is_there({}):
            self._receive(is_there, what="a new picture", seconds=seconds)
        return self.images[model][-1]

    def wait_for_state(self, model: str, trait: str, value: object, *, seconds=None) -> None:
        """Waits until the kernel has sent this value of a trait. Raises `TimeoutError`."""

        def is_there(_: dict) -> bool:
            return self.state.get(model, {}).get(trait) == value

        if not is_there({}):
            self._receive(is_there, what=f"{trait} == {value!r}", seconds=seconds)

    def wait_for_words(self, model: str, words: str, *, seconds=None) -> None:
        """Waits until the value of a text has these words in it."""

        def is_there(_: dict | None) -> bool:
            return words in self.state.get(model, {}).get("value", "")

        if not is_there(None):
            self._receive(is_there, what=f"the words {words!r}", seconds=seconds)

    def latencies(self, act, model: str, trait: str, values: Iterable) -> list[float]:
        """Seconds from each `act()` until the kernel has sent the next of these values of a trait.

        Between two acts pass 50 to 150 ms, as between those of a quick reader: right after the
        picture that an act has brought, the next would wait longest.

        Raises:
            TimeoutError: If one never comes.
        """
        found = []
        for number, value in enumerate(values):
            self.messages_in(0.05 + 0.1 * (0.618 * number % 1))
            start = time.monotonic()
            act()
            self.wait_for_state(model, trait, value)
            found.append(time.monotonic() - start)
        return found

    def messages_in(self, seconds: float) -> int:
        """How many messages the widgets send within so long."""
        before = self.messages
        with contextlib.suppress(TimeoutError):
            self._receive(lambda _: False, what="nothing", seconds=seconds)
        return self.messages - before

    def _send(self, model: str, data: dict) -> None:
        """Sends a message when the one before has been taken in, as a reader's hand is slow.

        A text that the kernel sends in the middle of its work can start the next message here
        within a millisecond. In a subshell, ipykernel 7.4 then lets it wait for ever or works on
        both at once: https://github.com/ipython/ipykernel/issues/1554.
        """
        if self._unanswered:
            self._receive(lambda _: not self._unanswered, what="the end of the last message")
        message = self._client.session.msg("comm_msg", {"comm_id": model, "data": data})
        if self._subshell_id:
            message["header"]["subshell_id"] = self._subshell_id
        self._client.shell_channel.send(message)
        self._unanswered = message["header"]["msg_id"]

    def _receive(self, is_done, *, what: str, seconds: float | None = None) -> None:
        """Takes in messages until one is the last."""
        seconds = self._seconds if seconds is None else seconds
        end = time.monotonic() + seconds
        while True:
            try:
                left = max(0.01, end - time.monotonic())
                message = self._client.get_iopub_msg(timeout=left)
            except queue.Empty:
                raise TimeoutError(f"waited {seconds:g} s for {what}") from None
            self._note(message)
            if is_done(message):
                return
            if time.monotonic() > end:
                raise TimeoutError(f"waited {seconds:g} s for {what}")

    def _note(self, message: dict) -> None:
        """Keeps what a widget says (its traits, an Image's pictures) and that one was taken in."""
        content = message["content"]
        if content.get("execution_state") == "idle":
            if message["parent_header"].get("msg_id") == self._unanswered:
                self._unanswered = None
        if message["msg_type"] not in ("comm_open", "comm_msg"):
            return
        model, data = content["comm_id"], content["data"]
        self.messages += 1
        self.state.setdefault(model, {}).update(data.get("state", {}))
        paths = data.get("buffer_paths", [])
        for path, buffer in zip(paths, message["buffers"], strict=True):
            if path == ["value"] and message["msg_type"] == "comm_msg":
                self.images.setdefault(model, []).append(bytes(buffer))
