"""The laboratory's panel in a real kernel: it answers real messages while it trains."""

import pytest
from widget_harness import NotebookKernel

pytestmark = pytest.mark.notebook

PANEL = """\
from course_lib.laboratory import Settings
from course_lib.widgets.gan_lab import GanLab
panel = GanLab(Settings(data="two_gaussians", depth=1, width=16), canvas=False)
"""
LIMIT = 200  # messages a second; a Jupyter server drops them from 1000


@pytest.fixture(scope="module", params=[False, True], ids=["main-shell", "subshell"])
def kernel(request, tmp_path_factory):
    with NotebookKernel(tmp_path_factory.mktemp("kernel"), subshell=request.param) as kernel:
        yield kernel


def model(kernel, name):
    return kernel.run(f"print(panel.{name}.model_id)").split()[-1]


def says(kernel, words, **limit):
    kernel.wait_for_words(model(kernel, "status"), words, **limit)


def test_sliders_and_clicks_act_while_it_trains_and_pictures_keep_coming(kernel):
    kernel.run(PANEL)
    image, play = model(kernel, "image"), model(kernel, "play")
    rate = model(kernel, "controls['g_learning_rate']")
    kernel.change(play, value=True)
    for more_than in range(3):
        kernel.wait_for_image(image, more_than=more_than)
    kernel.change(rate, index=3)
    says(kernel, "g_learning_rate = 0.0001")
    kernel.change(rate, index=0)
    says(kernel, "g_learning_rate = 1e-05")
    assert kernel.messages_in(2) < 2 * LIMIT
    kernel.change(play, value=False)
    kernel.wait_for_state(play, "value", False)
    before = int(kernel.run("panel.worker.run(); print(panel.lab.tick)").split()[-1])
    kernel.click(model(kernel, "buttons['both']"))
    says(kernel, f"<b>tick {before + 1:,}</b>")


@pytest.mark.parametrize("how", ["unhooked", "frozen", "killed"])
def test_a_dead_panel_fails_the_same_steps(kernel, how):
    kernel.run(PANEL)
    rate = model(kernel, "controls['g_learning_rate']")
    if how == "unhooked":
        kernel.unhook(rate)
    elif how == "frozen":
        kernel.run("panel.lab.change = lambda **settings: None")
    else:
        kernel.run("panel.worker.close()")
    kernel.change(rate, index=3)
    with pytest.raises(TimeoutError, match="g_learning_rate"):
        says(kernel, "g_learning_rate = 0.0001", seconds=1)
