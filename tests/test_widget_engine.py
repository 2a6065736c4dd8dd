"""The engine of the panels: order, latest wins, pauses, errors, and no thread left behind.

Tests poll for conditions, with a time-out that only a dead engine reaches.
"""

import gc
import threading
import time
import weakref

import pytest

from course_lib.widgets import engine
from course_lib.widgets.engine import Worker, repeat, stop_all

PATIENCE = 30.0


def wait_until(condition, what, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.002)


class Panel:
    """A worker that counts; `shown` are the numbers of its pictures, `said` its words."""

    def __init__(self, name="test", work=True):
        self.steps, self.shown, self.said, self.threads = 0, [], [], set()
        self.worker = Worker(name, self.work if work else None, self.draw, on_status=self.say)

    def work(self, seconds):
        self.threads.add(threading.current_thread().name)
        self.steps += 10
        time.sleep(0.001)
        return 10

    def draw(self):
        self.shown.append(self.steps)
        return f"{self.steps} steps"

    def say(self, html):
        self.said.append(html)

    def settled(self):
        """Wait until the picture is that of the newest step, and stays so."""
        wait_until(lambda: self.shown and self.shown[-1] == self.steps, "the last picture")


@pytest.fixture
def panel():
    panel = Panel()
    yield panel
    panel.worker.close()
    assert panel.worker.join(PATIENCE)


@pytest.fixture
def held(panel):
    """The panel, its thread held inside a command until the returned event is set."""
    release, entered = threading.Event(), threading.Event()
    panel.worker.submit(lambda: (entered.set(), release.wait(PATIENCE)))
    wait_until(entered.is_set, "the command that holds")
    yield release
    release.set()


# Commands ----------------------------------------------------------------------------------------


def test_a_command_runs_in_the_workers_thread_and_is_followed_by_a_picture(panel):
    names = []
    panel.worker.submit(lambda: names.append(threading.current_thread().name))
    wait_until(lambda: panel.said == ["0 steps"], "the picture after the command")
    assert names == ["course panel test"]


def test_clicks_run_each_and_in_order_also_from_many_threads(panel, held):
    done = []

    def click_often(who):
        for index in range(25):
            panel.worker.submit(lambda index=index: done.append((who, index)))

    threads = [threading.Thread(target=click_often, args=(who,)) for who in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held.set()
    panel.worker.run()
    for who in "abcd":
        assert [index for name, index in done if name == who] == list(range(25))


def test_of_fifty_slider_moves_at_most_three_run_and_the_last_one_wins(panel):
    values = []

    def move(value):
        time.sleep(0.05)
        values.append(value)

    for value in range(50):
        panel.worker.submit(lambda value=value: move(value), key="slider")
    panel.worker.run()
    assert values[-1] == 49 and len(values) <= 3


def test_keys_do_not_replace_each_other(panel, held):
    done = []
    for key, value in [("a", 1), ("b", 2), ("a", 3), ("b", 4), ("a", 5)]:
        panel.worker.submit(lambda value=value: done.append(value), key=key)
    held.set()
    panel.worker.run()
    assert done == [4, 5]


def test_a_click_sees_the_slider_as_it_was_then(panel, held):
    rate, seen = [0], []

    def move(value):
        panel.worker.submit(lambda: rate.__setitem__(0, value), key="rate")

    for value in (1, 2):
        move(value)
    panel.worker.submit(lambda: seen.append(rate[0]))
    for value in (3, 4):
        move(value)
    held.set()
    panel.worker.run()
    assert seen == [2] and rate == [4]


def test_a_command_may_submit_another_and_pause_and_play(panel):
    done = []

    def first():
        panel.worker.submit(lambda: done.append("second"))
        panel.worker.play()
        panel.worker.pause()
        done.append("first")

    panel.worker.submit(first)
    wait_until(lambda: done == ["first", "second"], "the second command")
    panel.worker.run()
    assert not panel.worker.playing


def test_run_from_within_a_command_is_refused_instead_of_waiting_for_itself(panel):
    with pytest.raises(RuntimeError, match="from a command of its worker: use submit"):
        panel.worker.run(panel.worker.run)


# Play and pause ----------------------------------------------------------------------------------


def test_play_works_until_pause_and_the_last_picture_is_of_the_last_step(panel):
    panel.worker.play()
    wait_until(lambda: panel.steps > 100, "work")
    panel.worker.pause()
    panel.worker.run()  # waits for the slice that was under way
    steps = panel.steps
    panel.settled()
    time.sleep(0.1)
    assert panel.steps == steps and panel.said[-1] == f"{steps} steps"


def test_play_pressed_twice_has_one_thread_and_one_pause_stops_it(panel):
    panel.worker.play()
    wait_until(lambda: panel.steps > 100, "work")
    history = panel.worker._history
    panel.worker.play()
    assert panel.worker._history is history  # not begun anew
    assert sum(t.name == "course panel test" for t in threading.enumerate()) == 1
    panel.worker.pause()
    panel.worker.run()
    steps = panel.steps
    time.sleep(0.1)
    assert panel.steps == steps


def test_a_command_runs_while_it_plays_between_two_slices(panel):
    panel.worker.play()
    inside, overlaps = [], []
    work = panel.worker._work
    panel.worker._work = lambda seconds: (inside.append(1), work(seconds), inside.clear())[1]
    for _ in range(20):
        panel.worker.submit(lambda: overlaps.extend(inside))
        time.sleep(0.003)
    panel.worker.pause()
    panel.worker.run()
    assert overlaps == [] and panel.steps > 0


def test_pause_during_a_slow_command_holds_once_it_ends(panel):
    panel.worker.play()
    wait_until(lambda: panel.steps > 0, "work")
    release, entered = threading.Event(), threading.Event()
    panel.worker.submit(lambda: (entered.set(), release.wait(PATIENCE)))
    wait_until(entered.is_set, "the slow command")
    panel.worker.pause()
    steps = panel.steps
    release.set()
    panel.worker.run()
    time.sleep(0.1)
    assert panel.steps == steps


def test_pictures_come_at_most_fifteen_times_a_second(panel):
    start = time.monotonic()
    panel.worker.play()
    wait_until(lambda: len(panel.shown) >= 12, "twelve pictures")
    seconds = time.monotonic() - start
    assert len(panel.shown) <= 15 * seconds + 3  # two are to its credit, and one begins


def test_a_click_is_drawn_without_waiting_for_the_next_frame(panel, monkeypatch):
    monkeypatch.setattr(engine, "FRAMES", 0.2)  # a picture in five seconds
    panel.worker.play()
    wait_until(lambda: panel.shown, "the first picture")
    start = time.monotonic()
    panel.worker.submit(lambda: setattr(panel, "steps", 10**6))
    wait_until(lambda: panel.shown[-1] >= 10**6, "the picture of the click")
    assert time.monotonic() - start < 4.5


def test_a_hail_of_clicks_is_not_a_hail_of_pictures(panel):
    count = []
    start = time.monotonic()
    for _ in range(200):
        panel.worker.submit(lambda: (count.append(1), time.sleep(0.002)))
    wait_until(lambda: len(count) == 200, "all clicks")
    seconds = time.monotonic() - start
    assert 1 <= len(panel.shown) <= 15 * seconds + 3


def test_slow_drawing_leaves_half_of_the_time_to_the_work():
    worked, drawn = [], []
    worker = Worker(
        "slow",
        lambda seconds: (time.sleep(seconds), worked.append(1))[1],
        lambda: (time.sleep(0.3), drawn.append(1))[1],
        on_status=lambda html: None,
    )
    worker.play()
    wait_until(lambda: len(drawn) >= 3, "three pictures")
    worker.close()
    assert (
        len(worked) >= 2 * 5
    )  # 0.3 s hold 15 slices of 20 ms; a third of that on a loaded machine


def test_playing_one_panel_pauses_the_others(panel):
    other = Panel("other")
    panel.worker.play()
    other.worker.play()
    assert (panel.worker.playing, other.worker.playing) == (False, True)
    stop_all()
    assert not other.worker.playing
    panel.settled()
    other.worker.close()


def test_a_panel_made_again_pauses_its_forerunner(panel):
    panel.worker.play()
    again, other = Panel("test"), Panel("another")
    assert not panel.worker.playing
    panel.worker.play()
    assert Panel("yet another") and panel.worker.playing
    again.worker.close(), other.worker.close()


def test_the_rate_is_steps_a_second_of_playing_and_nothing_at_rest(panel):
    assert panel.worker.rate == 0.0
    panel.worker.play()
    start, before = time.perf_counter(), panel.steps
    wait_until(lambda: time.perf_counter() > start + 0.5, "half a second")
    rate, measured = panel.worker.rate, (panel.steps - before) / (time.perf_counter() - start)
    assert rate == pytest.approx(measured, rel=0.3)
    panel.worker.pause()
    assert panel.worker.rate == 0.0


def test_the_rate_forgets_what_is_more_than_three_seconds_old(panel, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(engine.time, "perf_counter", lambda: clock[0])
    panel.worker._start = lambda: None  # no thread: the test turns the wheel
    panel.worker.play()
    for seconds, _ in [(0.5, "quick")] * 20 + [(1.0, "slow")] * 5:
        clock[0] += seconds
        panel.worker._slice()
    assert panel.worker.rate == pytest.approx(10.0)  # 10 steps a second since 4 s; before that 20


def test_repeat_uses_up_its_budget_and_counts(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(engine.time, "perf_counter", lambda: clock[0])

    def step():
        clock[0] += 0.01

    assert repeat(step)(0.035) == 4
    assert repeat(step)(0.0) == 1


def test_slices_without_a_count_count_as_one(panel):
    panel.worker._work = lambda seconds: None
    panel.worker._slice()
    panel.worker._slice()
    assert panel.worker._total == 2


def test_each_slice_gets_a_budget_that_a_click_can_wait_for(panel):
    budgets = []
    panel.worker._work = budgets.append
    panel.worker._slice()
    assert 0 < budgets[0] <= 0.04


def test_a_worker_without_work_answers_commands_and_refuses_to_play():
    panel = Panel(work=False)
    panel.worker.run(lambda: setattr(panel, "steps", 3))
    assert panel.shown == [3]
    with pytest.raises(RuntimeError, match="'test' has no work to play"):
        panel.worker.play()


def test_after_a_pause_the_reader_is_told_even_if_the_picture_was_new(panel):
    told = []

    def say(html):
        told.append(panel.worker.playing)
        if len(told) == 2:
            panel.worker.pause()  # at the end of a picture: nothing is old

    panel.worker._on_status = say
    panel.worker.play()
    wait_until(lambda: told[2:] == [False], "the words after the pause")


# Errors ------------------------------------------------------------------------------------------


def broken():
    raise ValueError("a < b & c")


WORDS = "<b>ValueError</b>: a &lt; b &amp; c (paused)"


def test_a_failing_command_is_shown_pauses_and_the_next_one_works(panel):
    panel.worker.play()
    wait_until(lambda: panel.shown, "a picture")
    panel.worker.submit(lambda: (setattr(panel, "steps", -7), broken()))
    wait_until(lambda: WORDS in panel.said, "the error")
    assert not panel.worker.playing and isinstance(panel.worker.error, ValueError)
    wait_until(lambda: panel.shown[-1] == -7, "the picture of what it did before it failed")
    assert panel.said[-1] == WORDS  # the picture did not wipe it away
    panel.worker.submit(lambda: setattr(panel, "steps", -1))
    wait_until(lambda: panel.said[-1] == "-1 steps", "the next command")
    assert panel.worker.error is None


def test_failing_work_is_shown_and_pauses_and_play_tries_again(panel):
    work, panel.worker._work = panel.worker._work, lambda seconds: broken()
    panel.worker.play()
    wait_until(lambda: WORDS in panel.said and not panel.worker.playing, "the error")
    panel.worker._work = work
    panel.worker.play()
    wait_until(lambda: panel.said[-1] != WORDS and panel.steps > 50, "work")


def test_failing_pictures_are_shown_once_and_pause(panel):
    calls = []
    panel.worker._publish = lambda: (calls.append(1), broken())
    panel.worker.play()
    wait_until(lambda: not panel.worker.playing, "the pause")
    time.sleep(0.3)
    assert len(calls) == 1 and panel.said == [WORDS]


def test_an_exit_in_a_callback_ends_neither_the_thread_nor_the_kernel(panel):
    panel.worker.submit(lambda: exec("raise SystemExit(3)"))
    wait_until(lambda: "<b>SystemExit</b>: 3 (paused)" in panel.said, "the error")
    thread = panel.worker._thread
    panel.worker.run(lambda: None)
    assert thread.is_alive() and panel.worker._thread is thread


def test_long_messages_are_cut(panel):
    panel.worker._fail(RuntimeError("x" * 10_000))
    assert len(panel.said[-1]) < 600 and panel.said[-1].endswith(" ... (paused)")


def test_a_status_that_fails_too_leaves_the_worker_alive(panel):
    say, panel.worker._on_status = panel.worker._on_status, lambda html: broken()
    with pytest.raises(ValueError, match="a < b"):
        panel.worker.run(lambda: None)
    panel.worker._on_status = say
    panel.worker.submit(lambda: setattr(panel, "steps", 7))
    wait_until(lambda: panel.said == ["7 steps"], "the next command")


# Without a thread --------------------------------------------------------------------------------


def test_run_works_in_the_calling_thread_draws_and_starts_no_thread(panel):
    names = []
    panel.worker.run(lambda: names.append(threading.current_thread().name), lambda: names.append(2))
    assert names == [threading.current_thread().name, 2]
    assert panel.said == ["0 steps"] and panel.worker._thread is None


def test_run_raises_what_went_wrong_and_shows_it(panel):
    with pytest.raises(ValueError, match="a < b"):
        panel.worker.run(broken, lambda: setattr(panel, "steps", 9))
    assert panel.said == [WORDS] and panel.steps == 0 and panel.shown == [0]
    panel.worker.run(lambda: None)
    assert panel.said[-1] == "0 steps"


def test_run_raises_the_error_of_a_queued_click_though_the_next_one_works(panel):
    panel.worker._start = lambda: None
    panel.worker.submit(broken)
    panel.worker.submit(lambda: setattr(panel, "steps", 5))
    with pytest.raises(ValueError, match="a < b"):
        panel.worker.run()
    assert panel.steps == 5 and panel.shown == [5]


def test_run_while_it_plays_gets_its_turn_at_once_and_alone(panel):
    slices, waited, inside = [], [], []
    panel.worker._work = lambda seconds: (slices.append(1), time.sleep(0.002))[1]
    panel.worker.play()
    wait_until(lambda: slices, "work")
    for _ in range(20):
        before = len(slices)
        panel.worker.run(lambda before=before: waited.append(len(slices) - before))
    # The thread would otherwise take turn after turn, thousands of them.
    assert sorted(waited)[10] <= 2 and max(waited) < 200
    panel.worker.run(
        lambda: (inside.append(len(slices)), time.sleep(0.1), inside.append(len(slices)))
    )
    assert inside[0] == inside[1] and panel.worker.playing


def test_run_waits_for_what_the_thread_is_doing(panel, held):
    done = []
    panel.worker.submit(lambda: done.append("queued"))
    threading.Timer(0.1, held.set).start()
    panel.worker.run(lambda: done.append("ours"))
    assert done == ["queued", "ours"]


# The thread --------------------------------------------------------------------------------------


def test_the_thread_starts_with_the_first_command_and_ends_when_idle(panel, monkeypatch):
    monkeypatch.setattr(engine, "IDLE_SECONDS", 0.05)
    assert panel.worker._thread is None
    for steps in (1, 2):
        panel.worker.submit(lambda steps=steps: setattr(panel, "steps", steps))
        wait_until(lambda: panel.worker._thread is None, "the end of an idle thread")
        assert panel.shown[-1] == steps


def test_a_short_idle_time_loses_no_command_and_no_picture(panel, monkeypatch):
    monkeypatch.setattr(engine, "IDLE_SECONDS", 0.0005)
    for index in range(300):
        panel.worker.submit(lambda index=index: setattr(panel, "steps", index))
        time.sleep(0.0005)
    panel.settled()
    wait_until(lambda: panel.steps == 299 and panel.shown[-1] == 299, "the last command")


def test_a_long_run_does_not_end_the_thread_of_a_playing_worker(panel, monkeypatch):
    monkeypatch.setattr(engine, "IDLE_SECONDS", 0.01)
    panel.worker.play()
    panel.worker.run(lambda: time.sleep(0.2))
    steps = panel.steps
    wait_until(lambda: panel.steps > steps, "work after the run")


def test_an_idle_worker_burns_no_processor_time(panel):
    panel.worker.submit(lambda: None)
    panel.settled()
    time.sleep(0.2)
    before = time.process_time()
    time.sleep(1.0)
    assert time.process_time() - before < 0.3
    assert panel.worker._thread.is_alive()


def test_close_drops_the_queue_and_ends_the_thread_after_the_command(panel, held):
    done = []
    panel.worker.submit(lambda: done.append(1))
    panel.worker.close()
    assert not panel.worker.join(0.05)  # it is still in the command that holds
    held.set()
    assert panel.worker.join(PATIENCE)
    assert done == [] and panel.said == []


class LateCondition(threading.Condition):
    """Its first wait times out, and something happens before the thread can look again."""

    happens = None

    def wait(self, timeout=None):
        if self.happens is None:
            return super().wait(timeout)
        happens, self.happens = self.happens, None
        happens()
        return False


@pytest.mark.parametrize("late", ["command", "play", "picture"])
def test_what_comes_just_as_an_idle_thread_gives_up_is_not_lost(panel, late):
    worker = panel.worker
    worker._wake = LateCondition(threading.RLock())
    what = {
        "command": lambda: worker._commands.append((None, lambda: setattr(panel, "steps", 5))),
        "play": lambda: setattr(worker, "playing", True),
        "picture": lambda: setattr(worker, "_stale", True),
    }
    worker._wake.happens = what[late]
    with worker._wake:
        worker._start()
    wait_until(lambda: panel.shown, "what came late")


def test_the_thread_sleeps_while_another_has_the_turn(panel):
    class Counting(threading.Condition):
        waits = 0

        def wait(self, timeout=None):
            self.waits += 1
            return super().wait(timeout)

    panel.worker._wake = Counting(threading.RLock())
    panel.worker.play()
    wait_until(lambda: panel.shown, "a picture")
    panel.worker.run(lambda: setattr(panel.worker._wake, "waits", 0), lambda: time.sleep(0.5))
    assert panel.worker._wake.waits <= 5


def test_close_from_a_command_ends_a_run_as_well(panel):
    panel.worker._start = lambda: None
    panel.worker.submit(panel.worker.close)
    panel.worker.submit(lambda: setattr(panel, "steps", 5))
    panel.worker.run()
    assert (panel.steps, panel.shown) == (0, [])


def test_close_during_a_slice_ends_the_thread_without_a_picture(panel):
    entered, release = threading.Event(), threading.Event()
    panel.worker._work = lambda seconds: (entered.set(), release.wait(PATIENCE))[0]
    panel.worker.play()
    wait_until(entered.is_set, "the slice")
    pictures = len(panel.shown)
    panel.worker.close()
    release.set()
    assert panel.worker.join(PATIENCE)
    assert len(panel.shown) == pictures and not panel.worker.playing


@pytest.mark.parametrize("use", ["play", "submit", "run"])
def test_a_closed_worker_says_so_and_refuses(panel, use):
    panel.worker.close()
    arguments = {"submit": [print]}.get(use, [])
    with pytest.raises(RuntimeError, match="'test' is closed and cannot .*: run its cell again"):
        getattr(panel.worker, use)(*arguments)
    assert "is closed" in panel.said[-1]


def test_a_forgotten_worker_is_collected_with_its_thread(monkeypatch):
    monkeypatch.setattr(engine, "IDLE_SECONDS", 0.02)
    panel = Panel("forgotten")
    panel.worker.submit(lambda: None)
    panel.settled()
    found = weakref.ref(panel.worker)
    del panel
    wait_until(lambda: gc.collect() is not None and found() is None, "the garbage collector")
    assert "course panel forgotten" not in {t.name for t in threading.enumerate()}


FORK = """
import os, sys, time, warnings
warnings.simplefilter("ignore")
from course_lib.widgets.engine import Worker
steps = []
work = lambda seconds: (steps.append(1), time.sleep(0.001))[1]
worker = Worker("fork", work, str, on_status=len)
worker.play()
while not steps:
    time.sleep(0.001)
child = os.fork()
if child == 0:
    done = []
    ok = not worker.playing
    worker.submit(lambda: done.append(1))
    end = time.monotonic() + 20
    while not done and time.monotonic() < end:
        time.sleep(0.001)
    os._exit(0 if ok and done else 1)
print(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(engine.os, "fork"), reason="this system cannot fork")
def test_a_forked_process_begins_anew_and_the_interpreter_ends_while_a_worker_plays(run_python):
    done = run_python(FORK)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


def test_the_engine_comes_without_tensorflow(run_python):
    done = run_python("import sys, course_lib.widgets.engine; print('tensorflow' in sys.modules)")
    assert done.stdout == "False\n"


# Negative controls: what the tests above wait for does not come from a dead engine ---------------


def test_a_frozen_engine_shows_nothing(panel):
    panel.worker._loop = lambda: time.sleep(0.01)
    panel.worker.submit(lambda: None)
    with pytest.raises(TimeoutError, match="the last picture"):
        wait_until(lambda: panel.shown, "the last picture", seconds=0.3)


def test_a_killed_worker_shows_nothing(panel):
    panel.worker._start = lambda: None
    panel.worker.play()
    with pytest.raises(TimeoutError, match="work"):
        wait_until(lambda: panel.steps, "work", seconds=0.3)
