"""No control without a test: each slider, button and canvas of each panel is moved here.

`PANELS` says how to build each panel cheaply and how to move each of its controls. A panel, or a
control, that is not in it fails; so does one whose move changes nothing for the reader, or changes
something even when nobody listens to it; so does one that no test of its own is named for.

A new panel needs one entry:

    "TwoGaussians": Panel(
        lambda: TwoGaussians(),
        {"distance": Move({"value": 2.0}, "test_two_gaussians.py::test_the_distance_..."), ...},
    )
"""

import ast
import contextlib
import dataclasses
import functools
import importlib
import inspect
import io
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import ipywidgets
import keras
import nbformat
import numpy as np
import pytest
import test_adain_panel
import test_cockpit
import test_health_panel
import test_run_gallery
import test_style_desk
from PIL import Image

from course_lib.laboratory import Settings
from course_lib.networks import classifiers, style_based
from course_lib.widgets.attack_panel import AttackPanel
from course_lib.widgets.canvas import DrawingCanvas
from course_lib.widgets.dirac_plane import DiracPlane
from course_lib.widgets.frames import FrameSlider
from course_lib.widgets.frechet_plane import FrechetPlane
from course_lib.widgets.gan_lab import CONTROLS, GanLab
from course_lib.widgets.kernel_workbench import KernelWorkbench
from course_lib.widgets.lab_picture import LAYERS
from course_lib.widgets.latent_studio import LatentStudio
from course_lib.widgets.loss_curves import LossCurves
from course_lib.widgets.microscope_panel import Microscope
from course_lib.widgets.occlusion_brush import OcclusionBrush
from course_lib.widgets.race import Race
from course_lib.widgets.scaling_panel import ScalingPanel
from course_lib.widgets.two_gaussians import TwoGaussians

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# What only shows. Everything else counts as a control, also what ipywidgets may bring one day.
PASSIVE = (ipywidgets.Box, ipywidgets.Image, ipywidgets.HTML, ipywidgets.HTMLMath, ipywidgets.Label)
PASSIVE += (ipywidgets.Output, ipywidgets.IntProgress, ipywidgets.FloatProgress)
CLICK = None


@dataclasses.dataclass(frozen=True)
class Move:
    """What a browser sends when the reader moves a control, and the test of what that must do."""

    state: dict | None  # new traits, or CLICK
    test: str  # "file.py::function"; the control must be among its parameters or in its source
    before: Callable = lambda panel: None  # what must have happened first


@dataclasses.dataclass(frozen=True)
class Panel:
    """How to build a panel, and the moves of its controls by the names of their attributes."""

    build: Callable
    moves: dict[str, Move]


LINE = [[[-0.5, 0.0], [0.5, 0.0]]]
PRESET = Move({"index": 2}, "test_widget_canvas.py::test_a_preset_is_drawn_and_can_be_chosen_again")
DRAWN = "test_widget_canvas.py::test_a_stroke_that_is_drawn_arrives_and_is_told"
UNDO = "test_widget_canvas.py::test_undo_goes_back_over_strokes_presets_and_clear"
BRUSH = "test_widget_canvas.py::test_the_brush_slider_sets_the_spread_of_the_points"
TOOLS = {"size": Move({"value": 0.2}, BRUSH), "preset": PRESET}
TOOLS |= {"undo": Move(CLICK, UNDO, lambda panel: setattr(panel, "strokes", LINE))}
TOOLS |= {"clear": Move(CLICK, UNDO, lambda panel: setattr(panel, "strokes", LINE))}

THEORY = "test_theory_panels.py::test_moving_a_control_changes_picture_numbers_and_code"


def _theory(**states):
    return {f"controls[{name}]": Move(state, THEORY) for name, state in states.items()}


# As small as a laboratory can be, so that building one per control costs little.
TINY = Settings(data="two_gaussians", depth=1, width=8, batch_size=32, penalty="R1")
STEP = "test_gan_lab.py::test_a_step_button_moves_the_weights_that_it_names_and_no_others"
LAB = {
    "play": "test_play_trains_until_it_is_pressed_again",
    "count": "test_times_n_takes_as_many_steps_as_the_count_says",
    "seed": "test_reset_goes_to_the_seed_of_the_box_and_seed_resets_by_itself",
    "broken": "test_a_broken_run_is_loaded_with_its_controls",
    "time": "test_the_time_slider_goes_back_and_playing_on_branches",
    "canvas": "test_learn_the_drawing_takes_what_is_drawn",
    "slow motion": "test_slow_motion_shows_a_sub_step_a_click_and_moves_d_at_the_fifth",
    "reset": "test_reset_goes_to_the_seed_of_the_box_and_seed_resets_by_itself",
    "show the code": "test_show_the_code_prints_a_cell_that_gives_the_same_picture",
    "learn the drawing": "test_learn_the_drawing_takes_what_is_drawn",
    "× N": "test_times_n_takes_as_many_steps_as_the_count_says",
}
LAB = {name: f"test_gan_lab.py::{test}" for name, test in LAB.items()}
RACE = "test_race.py::test_play_runs_both_equally_far_until_it_is_pressed_again"
RACE_STEP = "test_race.py::test_the_step_button_takes_100_steps_of_both"
RACE_RESET = "test_race.py::test_reset_begins_again_and_seed_takes_another"
COCKPIT = {
    "play": "test_play_trains_until_it_is_pressed_again",
    "step": "test_the_step_button_takes_so_many_updates_and_looks",
    "reset": "test_reset_goes_back_to_the_first_weights_and_keeps_the_rate",
    "rate": "test_the_rate_acts_on_the_next_update_and_keeps_what_was_learned",
    "cells": "test_a_cell_shows_the_pictures_that_it_counts",
}
COCKPIT = {name: f"test_cockpit.py::{test}" for name, test in COCKPIT.items()}
HEALTH = "test_health_panel.py::test_{}"
GALLERY = "test_run_gallery.py::test_{}"


def _draw(panel):
    panel.canvas.strokes = LINE


def _lab_moves():
    setting = "test_gan_lab.py::test_a_settings_control_changes_the_setting_of_its_name"
    layer = "test_gan_lab.py::test_a_layers_button_adds_or_removes_that_layer"
    before = {"reset": lambda panel: panel.run(20), "learn the drawing": _draw}
    moves = {f"controls[{name}]": Move({"index": 3}, setting) for name in CONTROLS}
    moves["controls[optimizer]"] = Move({"index": 1}, setting)  # there are only three
    for name in LAYERS:
        on = name in ("discriminator", "real", "generated")
        moves[f"layers[{name}]"] = Move({"value": not on}, layer)
    for name in ("D step", "G step", "both"):
        moves[f"buttons[{name}]"] = Move(CLICK, STEP)
    for name in ("× N", "slow motion", "reset", "show the code", "learn the drawing"):
        moves[f"buttons[{name}]"] = Move(CLICK, LAB[name], before.get(name, lambda panel: None))
    return moves | {
        "play": Move({"value": True}, LAB["play"]),
        "count": Move({"value": 7}, LAB["count"]),
        "seed": Move({"value": 7}, LAB["seed"]),
        "broken": Move({"index": 2}, LAB["broken"]),
        "time": Move({"index": 0}, LAB["time"], lambda panel: panel.run(200)),
        "canvas": Move({"index": 2}, LAB["canvas"]),  # the ready-made drawings
    }


# A classifier small enough to be asked for each control.
PICTURES = np.random.default_rng(0).uniform(-1, 1, (3, 16, 16, 3)).astype("float32")
CLASSES = ("a", "b", "c")
INSIDE = "test_inside_panels.py::test_{}"


@functools.cache
def _classifier():
    keras.utils.set_random_seed(0)
    return classifiers.plain((16, 16, 3), len(CLASSES), widths=(4, 6))


def _file():
    buffer = io.BytesIO()
    Image.new("RGB", (20, 12), "teal").save(buffer, "png")
    content = buffer.getvalue()
    facts = {"name": "own.png", "type": "image/png", "size": len(content), "last_modified": 0}
    return {"value": [facts | {"content": memoryview(content)}]}


def _inside(test, **states):
    """The controls of a panel that looks into a network, and what all such panels have."""
    moves = {
        f"controls[{name}]": Move(state, INSIDE.format(test)) for name, state in states.items()
    }
    picture = Move({"value": 2}, INSIDE.format("the_picture_slider_chooses_the_picture"))
    upload = Move(_file(), INSIDE.format("an_upload_is_cut_resized_shown_and_noted"))
    return moves | {"controls[picture]": picture, "upload": upload}


# A generator small enough that a studio can be built for each control.
STUDIO = {
    "look": "test_a_control_changes_its_part_of_the_look_and_the_picture",
    "other": "test_the_other_seed_counts_where_groups_are_swapped",
    "locks": "test_locks_hold_their_direction_and_their_slider",
    "undo": "test_undo_redo_and_reset_move_picture_and_controls",
    "frames": "test_add_and_remove_change_the_key_frames",
    "play": "test_play_shows_the_film_to_its_end_and_stops",
    "upload": "test_an_upload_is_projected_shown_and_edited",
    "each_layer": "test_each_layer_decides_how_much_a_projection_may_fit",
    "save": "test_save_and_files_bring_a_session_back",
    "name": "test_name_must_be_plain",
    "still": "test_the_still_is_the_picture",
    "strip": "test_the_strip_is_the_film_side_by_side",
    "GIF": "test_the_gif_is_the_film",
}
STUDIO = {name: f"test_latent_studio.py::{test}" for name, test in STUDIO.items()}


@functools.cache
def _face_generator():
    keras.utils.set_random_seed(0)
    return style_based.generator(8, (16, 16, 3), filters=(8, 6, 4), style_dim=6)


def _studio():
    attributes = {"glasses": np.eye(6)[1], "beard": np.eye(6)[2]}
    return LatentStudio(_face_generator(), attributes, steps=3, folder=tempfile.mkdtemp())


def _two_frames(panel):
    for value in (0.2, 0.4):
        panel.x.value = value
        panel.buttons["add"].click()


def _studio_moves():
    def then(name, test, state=CLICK, before=lambda panel: None):
        return {name: Move(state, STUDIO[test], before)}

    def moved(panel):
        panel.psi.value = 1.0

    def undone(panel):
        moved(panel)
        panel.buttons["undo"].click()

    states = {"x": {"value": 0.5}, "y": {"value": 0.5}, "pad": {"position": [0.5, 0.5]}}
    states |= {"psi": {"value": 1.0}}
    states |= {f"seeds[{index}]": {"value": 20} for index in range(4)}
    states |= {f"groups[{name}]": {"value": True} for name in ("coarse", "middle", "fine")}
    names = ("component 1", "component 2", "component 3", "glasses", "beard")
    states |= {f"amounts[{name}]": {"value": 1.0} for name in names}
    moves = {name: Move(state, STUDIO["look"]) for name, state in states.items()}
    for name in names:
        moves |= then(f"locks[{name}]", "locks", {"value": True})
    mixed = {"value": 30}, lambda panel: setattr(panel.groups["fine"], "value", True)
    return (
        moves
        | then("other", "other", *mixed)
        | then("buttons[undo]", "undo", before=moved)
        | then("buttons[redo]", "undo", before=undone)
        | then("buttons[reset]", "undo", before=moved)
        | then("buttons[add]", "frames")
        | then("buttons[remove]", "frames", before=_two_frames)
        | then("play", "play", {"value": True}, _two_frames)
        | then("upload", "upload", _file())
        | then("project", "upload", {"value": True}, lambda panel: panel.upload.set_state(_file()))
        | then("each_layer", "each_layer", {"value": False})
        | then("name", "name", {"value": "other"})
        | then("buttons[save]", "save")
        | then("files", "save", {"index": 1}, lambda panel: panel.buttons["save"].click())
        | then("buttons[still]", "still")
        | then("buttons[strip]", "strip", before=_two_frames)
        | then("buttons[GIF]", "GIF", before=_two_frames)
    )


WORKBENCH = {
    "picture": "test_every_picture_can_be_chosen_and_is_in_range",
    "upload": "test_an_upload_is_shown_and_stays_in_the_list",
    "size": "test_a_smaller_kernel_is_the_middle_and_the_rest_is_kept",
    "preset": "test_a_preset_fills_the_kernel_and_an_edit_takes_its_name_away",
    "random": "test_random_fills_the_kernel_of_the_size_as_it_is_with_new_numbers",
    "pad": "test_the_number_of_zeros_counts_only_where_it_is_chosen",
    "row": "test_row_and_column_choose_the_window_that_is_said_and_shown",
    "column": "test_row_and_column_choose_the_window_that_is_said_and_shown",
    "cells": "test_a_cell_is_the_number_of_the_kernel_at_its_place",
}


def _png_file():
    """What a browser sends after a file was chosen."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "white").save(buffer, "png")
    file = {"name": "a.png", "type": "image/png", "size": buffer.tell(), "last_modified": 0}
    return [file | {"content": memoryview(buffer.getvalue())}]


def _workbench_moves():
    setting = "test_kernel_workbench.py::test_a_setting_changes_picture_words_and_code"
    tests = {name: f"test_kernel_workbench.py::{test}" for name, test in WORKBENCH.items()}
    states = {"picture": {"index": 2}, "upload": {"value": _png_file()}, "size": {"value": 4}}
    states |= {"preset": {"index": 2}, "random": CLICK, "pad": {"value": 3}}
    states |= {"row": {"value": 2}, "column": {"value": 2}, "stride": {"value": 2}}
    states |= {"padding": {"index": 0}, "dilation": {"value": 2}}
    states |= {f"cells[{index}]": {"value": 4.0} for index in range(25)}
    before = {"pad": lambda panel: setattr(panel.padding, "value", "a number")}
    return {
        name: Move(state, tests.get(name.split("[")[0], setting), before.get(name, lambda _: None))
        for name, state in states.items()
    }


# Control of the style desk, or its family -> the test of what it must do.
DESK = {
    "controls": "test_a_control_changes_its_setting_and_the_picture_without_a_restart",
    "controls[goes]": "test_goes_says_what_the_outside_gets",
    "controls[strength]": "test_strength_acts_in_one_pass_and_greys_out_what_does_not",
    "controls[start]": "test_start_counts_when_it_is_started_again",
    "layers": "test_a_layers_slider_weighs_that_layer",
    "uploads": "test_an_upload_is_cut_chosen_and_shown",
    "canvas": "test_what_is_painted_on_the_canvas_is_the_mask",
    "play": "test_play_runs_until_it_is_pressed_again_and_sliders_act_meanwhile",
    "buttons[step]": "test_step_takes_one",
    "buttons[start again]": "test_start_counts_when_it_is_started_again",
    "buttons[save]": "test_save_writes_picture_and_log_that_give_the_picture_again",
    "time": "test_time_looks_back_and_a_step_returns_to_the_newest",
    "gram": "test_gram_chooses_the_layer_whose_matrices_are_shown",
    "name": "test_save_writes_picture_and_log_that_give_the_picture_again",
}


def _desk_moves():
    states = dict.fromkeys(("step", "start again", "save"), CLICK)
    states = {f"buttons[{name}]": state for name, state in states.items()}
    chosen = ("content", "first", "second", "size", "way", "mask", "goes", "start")
    slid = ("style_weight", "content_weight", "variation_weight")
    states |= {f"controls[{name}]": {"index": 1} for name in (*chosen, *slid)}
    states["controls[second]"] = {"index": 2}
    states |= {"controls[blend]": {"value": 0.5}, "controls[strength]": {"value": 0.5}}
    states |= {"controls[keep_colours]": {"value": True}}
    states |= {f"layers[block{block}_conv1]": {"value": 2.0} for block in (1, 2, 3, 4)}
    states |= {f"uploads[{field}]": _file() for field in ("content", "first", "second")}
    states |= {"canvas": {"index": 2}, "play": {"value": True}, "time": {"index": 0}}
    states |= {"gram": {"index": 0}, "name": {"value": "other"}}
    before = {
        "controls[goes]": lambda panel: panel.change(mask="left half"),
        "controls[strength]": lambda panel: panel.change(way="one pass"),
        "controls[keep_colours]": lambda panel: panel.run(2),
        "buttons[start again]": lambda panel: panel.run(2),
        "time": lambda panel: panel.run(2),
    }
    return {
        name: Move(
            state,
            f"test_style_desk.py::{DESK.get(name, DESK.get(name.split('[')[0]))}",
            before.get(name, lambda panel: None),
        )
        for name, state in states.items()
    }


FAST = "test_adain_panel.py::test_{}"
PLACE = Move({"value": 0.9}, FAST.format("x_y_and_strength_change_shares_words_and_picture"))

PANELS = {
    "StyleDesk": Panel(lambda: test_style_desk.desk(tempfile.mkdtemp()), _desk_moves()),
    "AdainPanel": Panel(
        test_adain_panel.build,
        {
            "pad": Move(
                {"position": [0.9, 0.1]},
                FAST.format("dragging_the_pad_moves_the_sliders_and_they_move_it"),
            ),
            "x": PLACE,
            "y": PLACE,
            "strength": dataclasses.replace(PLACE, state={"value": 0.2}),
            "content": Move({"index": 1}, FAST.format("content_chooses_the_picture")),
            "upload": Move(_file(), FAST.format("an_upload_is_cut_square_drawn_and_noted")),
        },
    ),
    "Microscope": Panel(
        lambda: Microscope(_classifier(), PICTURES, layer="conv2", row=3, column=3),
        _inside(
            "the_microscope_shows_the_value_that_the_controls_choose",
            layer={"index": 0},
            channel={"value": 2},
            row={"value": 1},
            column={"value": 5},
            reads={"value": 1},
        ),
    ),
    "OcclusionBrush": Panel(
        lambda: OcclusionBrush(_classifier(), PICTURES, CLASSES, squares=[(2, 2, 3)]),
        _inside(
            "the_brush_covers_what_the_sliders_say",
            column={"value": 1},
            row={"value": 2},
            side={"value": 5},
        )
        | {
            "keep": Move(CLICK, INSIDE.format("squares_are_kept_taken_back_and_cleared")),
            "undo": Move(CLICK, INSIDE.format("squares_are_kept_taken_back_and_cleared")),
            "clear": Move(CLICK, INSIDE.format("squares_are_kept_taken_back_and_cleared")),
        },
    ),
    "AttackPanel": Panel(
        lambda: AttackPanel(_classifier(), PICTURES, [0, 1, 2], CLASSES),
        _inside(
            "the_attack_is_the_one_of_its_method_and_strength",
            strength={"value": 9.0},
            method={"index": 2},
        ),
    ),
    "KernelWorkbench": Panel(
        lambda: KernelWorkbench(np.eye(9), np.ones((5, 5)), position=(1, 1)), _workbench_moves()
    ),
    "LatentStudio": Panel(_studio, _studio_moves()),
    "TwoGaussians": Panel(
        TwoGaussians,
        _theory(
            mean={"value": -3.0}, sigma={"value": 1.5}, slope={"value": 2.0}, offset={"value": -2.0}
        ),
    ),
    "DiracPlane": Panel(
        DiracPlane,
        _theory(learning_rate={"value": 1.0}, r1_gamma={"value": 1.0}, alternating={"index": 1}),
    ),
    "FrechetPlane": Panel(
        FrechetPlane,
        _theory(
            mean_x={"value": 2.0},
            mean_y={"value": -1.0},
            scale_1={"value": 0.4},
            scale_2={"value": 1.5},
            angle={"value": -50.0},
            count={"index": 5},
        ),
    ),
    "ScalingPanel": Panel(
        ScalingPanel,
        _theory(
            size={"index": 4},
            batch={"index": 8},
            replicas={"index": 6},
            link={"index": 0},
            precision={"index": 1},
            device={"index": 0},
        ),
    ),
    "LossCurves": Panel(
        LossCurves,
        _theory(family={"index": 3}, logit={"value": 3.0})
        | {
            "controls[real_logit]": Move(
                {"value": 5.0},
                "test_theory_panels.py::test_the_real_logit_moves_only_the_relativistic_curves",
                lambda panel: setattr(panel.controls["family"], "value", "relativistic"),
            )
        },
    ),
    "GanLab": Panel(lambda: GanLab(TINY, canvas=False), _lab_moves()),
    "Race": Panel(
        lambda: Race(TINY, loss="hinge"),
        {
            "play": Move({"value": True}, RACE),
            "step": Move(CLICK, RACE_STEP),
            "reset": Move(CLICK, RACE_RESET, lambda race: race.run(20)),
            "seed": Move({"value": 7}, RACE_RESET),
        },
    ),
    "Cockpit": Panel(
        test_cockpit.cockpit,
        {
            "play": Move({"value": True}, COCKPIT["play"]),
            "step": Move(CLICK, COCKPIT["step"]),
            "reset": Move(CLICK, COCKPIT["reset"], lambda panel: panel.run(3)),
            "rate": Move({"index": 0}, COCKPIT["rate"]),
        }
        | {f"cells[{k}]": Move(CLICK, COCKPIT["cells"]) for k in range(1, 9)}
        | {"cells[0]": Move(CLICK, COCKPIT["cells"], lambda panel: panel.cells[8].click())},
    ),
    "HealthPanel": Panel(
        test_health_panel.panel,
        {
            "play": Move({"value": True}, HEALTH.format("play_trains_until_it_is_pressed_again")),
            "step": Move(CLICK, HEALTH.format("the_step_button_goes_to_the_next_look")),
            "every": Move(
                {"value": 5}, HEALTH.format("the_box_sets_how_many_steps_lie_between_looks")
            ),
        },
    ),
    "RunGallery": Panel(
        test_run_gallery.gallery,
        {
            "controls[run]": Move(
                {"index": 1},
                GALLERY.format("choosing_a_run_shows_its_first_moment_and_forgets_the_answer"),
            ),
            "controls[moment]": Move(
                {"value": 2},
                GALLERY.format("the_moment_slider_shows_the_samples_and_numbers_of_that_moment"),
            ),
            "controls[fault]": Move(
                {"index": 1},
                GALLERY.format("a_wrong_fault_is_told_with_the_run_that_has_it"),
            ),
        },
    ),
    "FrameSlider": Panel(
        lambda: FrameSlider(np.linspace(-1, 1, 3)[:, None, None, None] * np.ones((4, 4, 1)), "abc"),
        {
            "slider": Move(
                {"value": 2},
                "test_widgets.py::test_moving_the_slider_shows_that_frame_and_its_caption",
            )
        },
    ),
    "DrawingCanvas": Panel(
        lambda: DrawingCanvas(core=False),
        TOOLS
        | {
            "surface": Move({"strokes": LINE}, DRAWN),
            "eraser": Move(
                {"value": True}, "test_widget_canvas.py::test_the_eraser_reaches_the_surface"
            ),
        },
    ),
    "DrawingCanvas of core widgets": Panel(
        lambda: DrawingCanvas(core=True),
        TOOLS | {"surface": Move({"value": "0,0 1,1"}, DRAWN)},
    ),
}
ALL = [(name, control) for name, panel in PANELS.items() for control in panel.moves]
MOVES = pytest.mark.parametrize("name, control", ALL, ids=[" ".join(pair) for pair in ALL])


def widgets_in(box):
    """The widget and all that it holds."""
    return [box] + [each for child in getattr(box, "children", ()) for each in widgets_in(child)]


def owner_of(panel, widget):
    """The name of the attribute, or `name[key]` in a dict or list, that holds the widget.

    The controls of a panel within the panel all have the name of that panel.
    """
    for name, value in vars(panel).items():
        members = enumerate(value) if isinstance(value, list | tuple) else ()
        members = value.items() if isinstance(value, dict) else members
        for key, member in [(None, value), *members]:
            inner = getattr(member, "panel", None)
            if member is widget or inner is not None and widget in widgets_in(inner):
                return name if key is None else f"{name}[{key}]"
    return f"unnamed {type(widget).__name__} {getattr(widget, 'description', '')!r}"


def controls(panel):
    """Name -> widget, of everything in a panel that the reader can move."""
    found = [widget for widget in widgets_in(panel.panel) if not isinstance(widget, PASSIVE)]
    return {owner_of(panel, widget): widget for widget in found}


def seen(panel, moved):
    """All that the reader sees of a panel, apart from the control that is moved."""
    others = [widget for widget in widgets_in(panel.panel) if widget is not moved]
    return [{key: w.get_state(key)[key] for key in w.keys} for w in others]


def moves(panel, name, control):
    """Move the control as a browser does, unhooked and then hooked.

    Returns two bools: whether the reader sees a change elsewhere, each time.
    """
    how, widget = PANELS[name].moves[control], controls(panel)[control]
    how.before(panel)
    _settle(panel)
    with unhooked(widget):
        held = {trait: getattr(widget, trait) for trait in how.state or {}}
        dead = _changes(panel, widget, how.state)
        for trait, value in held.items():
            setattr(widget, trait, value)
    return dead, _changes(panel, widget, how.state)


@contextlib.contextmanager
def unhooked(widget):
    """Nobody listens to the widget meanwhile."""
    listeners = [
        (widget, "_trait_notifiers", {}),
        (getattr(widget, "_click_handlers", None), "callbacks", []),
    ]
    listeners = [(owner, name, none) for owner, name, none in listeners if owner is not None]
    held = [getattr(owner, name) for owner, name, _ in listeners]
    for owner, name, none in listeners:
        setattr(owner, name, none)
    yield
    for (owner, name, _), value in zip(listeners, held, strict=True):
        setattr(owner, name, value)


def _changes(panel, widget, state):
    """Send what a browser sends; return whether the reader sees a change elsewhere."""
    before = seen(panel, widget)
    if state is CLICK:
        widget._handle_custom_msg({"event": "click"}, [])
    else:
        widget.set_state(state)
    _settle(panel)
    return seen(panel, widget) != before


def _settle(panel):
    """Let the panel's worker, if it has one, do what was asked for; drawing takes the longest."""
    if (worker := getattr(panel, "worker", None)) is not None:
        end = time.monotonic() + 60
        while worker.playing and not worker.rate and time.monotonic() < end:
            time.sleep(0.01)  # until it has done some of its work
        worker.pause()
        worker._take_turn()  # what its thread is doing is done then
        asked = worker._stale or worker._commands
        worker._end_turn()
        if asked:
            worker.run()


# The controls ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PANELS)
def test_each_control_of_a_panel_is_in_the_table_and_no_other(name):
    panel = PANELS[name].build()
    assert type(panel) is panel_classes()[name.split(" ")[0]]
    assert set(controls(panel)) == set(PANELS[name].moves)


@MOVES
def test_a_control_changes_what_the_reader_sees_and_nothing_where_it_is_unhooked(name, control):
    assert moves(PANELS[name].build(), name, control) == (False, True)


@MOVES
def test_each_control_has_a_test_of_what_it_must_do(name, control):
    file, _, function = PANELS[name].moves[control].test.partition("::")
    assert is_moved(Path(__file__).parent / file, function, control)


def is_moved(path, function, control):
    """Whether a file has this test and the test, or a helper it calls, names the control.

    Naming is `panel.control`, or the name as a string, also among the values of `parametrize`.
    """
    functions = _functions(path)
    if not function.startswith("test_") or function not in functions:
        return False
    nodes = list(ast.walk(functions[function]))
    called = {node.func.id for node in nodes if isinstance(node, ast.Call | ast.Attribute)
              and isinstance(getattr(node, "func", None), ast.Name)}  # fmt: skip
    for helper in called & set(functions):
        nodes += ast.walk(functions[helper])
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    words = {node.value for node in nodes if isinstance(node, ast.Constant)}
    return bool({control, re.sub(r"\[.*", "", control)} & (attributes | words))


@functools.cache
def _functions(path):
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return {node.name: node for node in body if isinstance(node, ast.FunctionDef)}


# The panels --------------------------------------------------------------------------------------


@functools.cache
def panel_classes():
    """The classes of course_lib.widgets that have a `panel` to display, by name."""
    found = {}
    for path in sorted((ROOT / "course_lib" / "widgets").glob("[a-z]*.py")):
        module = importlib.import_module(f"course_lib.widgets.{path.stem}")
        for name, value in vars(module).items():
            if inspect.isclass(value) and not name.startswith("_") and _sets_panel(value):
                found[name] = value
    bases = {base for value in found.values() for base in value.__mro__[1:]}
    return {name: value for name, value in found.items() if value not in bases}


def _sets_panel(value):
    ours = [base for base in value.__mro__ if base.__module__.startswith("course_lib")]
    return any(re.search(r"self\.panel\b.*=", inspect.getsource(base)) for base in ours)


def panels_of(sources):
    """The names that a notebook's code takes from files of course_lib.widgets and calls.

    Raises:
        AssertionError: where it builds controls itself, which nothing here would find.
    """
    tree = ast.parse("\n".join(re.sub(r"^\s*%.*$", "", text, flags=re.M) for text in sources))
    used = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module]
            if re.match(r"course_lib\.widgets\.", node.module):
                used |= {alias.name for alias in node.names}
            elif node.module == "course_lib.widgets":
                for alias in node.names:
                    used |= _attributes(tree, alias.asname or alias.name)
        else:
            continue
        assert "ipywidgets" not in {module.split(".")[0] for module in modules}, (
            "controls belong in a panel in course_lib/widgets, where they are tested"
        )
    return {name for name in used if name[:1].isupper()}


def _attributes(tree, module):
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == module
    }


def test_every_panel_of_the_library_is_in_the_table():
    assert set(panel_classes()) - {name.split(" ")[0] for name in PANELS} == set()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_panel_of_a_notebook_is_in_the_table(path):
    cells = nbformat.read(path, as_version=4).cells
    used = panels_of([cell.source for cell in cells if cell.cell_type == "code"])
    assert used & set(panel_classes()) <= set(PANELS)
    assert used <= set(panel_classes()), "a class that is no panel, or has no self.panel"


# The tests themselves ----------------------------------------------------------------------------


def test_a_control_that_is_added_to_a_panel_is_missed():
    panel = FrameSlider(np.zeros((2, 4, 4, 1)), "ab")
    panel.speed = ipywidgets.IntSlider()
    panel.more = {"reset": ipywidgets.Button()}
    row = ipywidgets.HBox([panel.speed, panel.more["reset"], ipywidgets.Text(description="free")])
    panel.panel.children += (row,)
    assert set(controls(panel)) == {"slider", "speed", "more[reset]", "unnamed Text 'free'"}


def test_a_panel_in_a_panel_is_one_control():
    class Outer:
        def __init__(self):
            self.canvas, self.go = DrawingCanvas(core=True), ipywidgets.Button()
            self.panel = ipywidgets.VBox([self.canvas.panel, self.go])

    assert set(controls(Outer())) == {"canvas", "go"}


@pytest.mark.parametrize(
    "source, found",
    [
        ("from course_lib.widgets.frames import FrameSlider\nFrameSlider(x)", {"FrameSlider"}),
        ("from course_lib.widgets import frames\nframes.FrameSlider(x)", {"FrameSlider"}),
        (
            "from course_lib.widgets import frames as f\n%time f.x\nf.FrameSlider(x)",
            {"FrameSlider"},
        ),
        ("from course_lib.widgets.engine import stop_all\nstop_all()", set()),
        ("from course_lib import plots\nplots.Axes", set()),
    ],
)
def test_the_panels_of_a_notebook_are_found(source, found):
    assert panels_of([source]) == found


@pytest.mark.parametrize("source", ["import ipywidgets", "from ipywidgets import interact"])
def test_a_notebook_with_controls_of_its_own_is_refused(source):
    with pytest.raises(AssertionError, match="controls belong in a panel"):
        panels_of([source])


def test_a_test_counts_only_where_it_exists_and_names_the_control(tmp_path):
    path = tmp_path / "test_it.py"
    path.write_text(
        "def helper(panel):\n    panel.rate.click()\n\n"
        "def test_rate(panel):\n    helper(panel)\n\n"
        "@pytest.mark.parametrize('name', ['depth', 'width'])\ndef test_all(name):\n    pass\n"
    )
    assert is_moved(path, "test_rate", "rate") and is_moved(path, "test_all", "width")
    assert not is_moved(path, "test_all", "rate")
    assert not is_moved(path, "test_gone", "rate") and not is_moved(path, "helper", "rate")
