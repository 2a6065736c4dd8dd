"""The kernel workbench in a real kernel: it answers the messages that a browser sends."""

import statistics
import time

import pytest
from widget_harness import NotebookKernel

pytestmark = pytest.mark.notebook

PANEL = """\
import tensorflow  # as in the notebook
from course_lib.widgets.kernel_workbench import KernelWorkbench
panel = KernelWorkbench("cat", padding="valid")
"""
MOVES = 20


@pytest.fixture(scope="module", params=[False, True], ids=["main-shell", "subshell"])
def kernel(request, tmp_path_factory):
    with NotebookKernel(tmp_path_factory.mktemp("kernel"), subshell=request.param) as kernel:
        yield kernel


def model(kernel, name):
    return kernel.run(f"print(panel.{name}.model_id)").split()[-1]


def test_settings_and_cells_act_and_what_is_impossible_is_said(kernel):
    kernel.run(PANEL)
    status, image, dilation = (model(kernel, name) for name in ("status", "image", "dilation"))
    kernel.change(model(kernel, "stride"), value=3)
    kernel.wait_for_words(status, "⌊(128 + 0 − 1 · (3 − 1) − 1) / 3⌋ + 1 = 42")
    kernel.wait_for_image(image)
    kernel.change(model(kernel, "picture"), index=6)  # one pixel, 15 x 15
    kernel.wait_for_words(status, "⌊(15 + 0")
    kernel.change(dilation, value=8)
    kernel.wait_for_words(status, "No output: the kernel does not fit")
    kernel.change(dilation, value=1)
    kernel.wait_for_words(status, "output[")
    kernel.change(model(kernel, "cells[12]"), value=0.375)
    kernel.wait_for_words(status, "(0.375)")
    kernel.click(model(kernel, "random"))
    kernel.wait_for_words(status, "(0.13)")  # the first random number


def test_a_moved_slider_is_answered_quickly(kernel):
    kernel.run(PANEL)
    status, row = model(kernel, "status"), model(kernel, "row")
    seconds = []
    for number in range(MOVES):
        kernel.messages_in(0.05 + 0.01 * (number % 10))  # a reader's pause
        start = time.perf_counter()
        kernel.change(row, value=number)
        kernel.wait_for_words(status, f"output[{number}, ")
        seconds.append(time.perf_counter() - start)
    print(f"median {1000 * statistics.median(seconds):.0f} ms, worst {1000 * max(seconds):.0f} ms")


@pytest.mark.parametrize("how", ["unhooked", "killed"])
def test_a_dead_panel_fails_the_same_steps(kernel, how):
    kernel.run(PANEL)
    status, stride = model(kernel, "status"), model(kernel, "stride")
    if how == "unhooked":
        kernel.unhook(stride)
    else:
        kernel.run("panel.worker.close()")
    kernel.change(stride, value=3)
    with pytest.raises(TimeoutError, match="/ 3⌋"):
        kernel.wait_for_words(status, "/ 3⌋", seconds=1)
