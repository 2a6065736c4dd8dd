"""The engine under every live panel: one thread that computes, callbacks that only queue.

A notebook cell never blocks. A panel's buttons and sliders hand functions to a `Worker`; its thread
runs them one at a time, does a slice of the panel's work between them while it plays, and shows the
result at most `FRAMES` times a second. Nothing of a panel is ever computed in two threads at once.

    worker = Worker("lab", repeat(train_once), draw, on_status=show_text)
    play.on_click(lambda _: worker.play())
    slider.observe(lambda change: worker.submit(lambda: set_rate(change["new"]), key="rate"))
    worker.run(lambda: train(100))  # the same without a thread: tests, readers without widgets

Keras keeps its global seed and dtype policy per thread: build networks and seed generators in the
cell that makes the panel, and hand the generators to the work, rather than rely on either.
"""

import atexit
import collections
import html
import os
import threading
import time
import weakref

FRAMES = 14  # pictures a second, at most; messages a second are a small multiple of it
SLICE_SECONDS = 0.02  # work between two looks at the queue: what a click waits for
IDLE_SECONDS = 10.0  # a thread with nothing to do ends; the next command starts another
RATE_SECONDS = 3.0  # the last seconds over which `rate` is measured
MESSAGE_LENGTH = 500  # TensorFlow's messages run over pages

_workers = weakref.WeakSet()
_workers_lock = threading.RLock()  # taken before the lock of a worker, never after


def repeat(step):
    """Return work for a `Worker` that calls `step()` until its budget of seconds is used up.

    It calls it at least once, and returns how often.
    """

    def work(seconds):
        end, count = time.perf_counter() + seconds, 0
        while count == 0 or time.perf_counter() < end:
            step()
            count += 1
        return count

    return work


def stop_all(*, but=None):
    """Pause every worker except `but`, so that no forgotten panel eats the processor.

    `Worker.play` calls this itself; call it before a cell that trains without a panel. It returns
    at once: each worker finishes the slice or the command that it is in.
    """
    with _workers_lock:
        others = [worker for worker in _workers if worker is not but]
    for worker in others:
        worker.pause()


class Worker:
    """Runs commands, and work in slices while it plays, one thing at a time.

    Its thread starts with the first command or `play`, and ends after `IDLE_SECONDS` without any:
    a worker that nobody uses costs nothing, and can be garbage collected. All methods return at
    once, may be called from any thread and from a command, except `run` and `join`, which wait.

    A new worker pauses those of the same name: a cell that is run again replaces its panel.

    Attributes:
        name: what the thread is called.
        playing: True between `play` and `pause`.
        error: the exception that a command, the work or a picture raised; None again after the
            next command or `play`.
    """

    def __init__(self, name, work, publish, *, on_status):
        """Make a worker that rests.

        Args:
            name: names the panel, such as "gan lab".
            work: function of a budget in seconds, to which it should keep; returns how many steps
                it did, or None for one. See `repeat`. None if the panel only answers commands.
            publish: function without arguments that draws and sets the panel's one
                `ipywidgets.Image`; returns the status in HTML, or None for no words.
            on_status: function of that HTML, which sets the panel's one `ipywidgets.HTML`. Called
                after each picture and after each error: the place to set a play button, too.
        """
        self.name, self.playing, self.error = name, False, None
        self._work, self._publish, self._on_status = work, publish, on_status
        self._total = 0  # steps of work so far
        self._history = collections.deque()  # (time, steps so far), of the last seconds
        self._closed = False
        self._drawn, self._drawing_took, self._credit = -float("inf"), 0.0, 0.0
        self._reset()
        with _workers_lock:
            twins = [worker for worker in _workers if worker.name == name]
            _workers.add(self)
        for worker in twins:
            worker.pause()

    def _reset(self):
        """Set what a forked process must not inherit: locks, queue and thread."""
        self._wake = threading.Condition(threading.RLock())  # guards all that follows
        self._commands = collections.deque()  # (key or None, function)
        self._thread = None
        self._owner = None  # the thread that computes at this moment
        self._guests = 0  # callers of `run` that wait for their turn: they go first
        self._stale = False  # the picture is older than what it shows
        self._asked = False  # and the reader, who did something, waits for a new one
        self.playing = False

    def submit(self, function, *, key=None):
        """Queue `function()` for the worker's thread; a picture follows.

        Args:
            function: function without arguments.
            key: None for a click, of which each counts, in order. Otherwise the latest wins: it
                replaces a command of the same key that still waits, unless a click was queued in
                between, which must see the value that it was made with.

        Raises:
            RuntimeError: after `close`.
        """
        with self._wake:
            self._check_open("take a command")
            if key is not None:
                self._drop(key)
            self._commands.append((key, function))
            self._start()

    def play(self):
        """Work until `pause`, after pausing all other workers. Twice is the same as once.

        Raises:
            RuntimeError: after `close`, or without work.
        """
        if self._work is None:
            raise RuntimeError(f"the worker {self.name!r} has no work to play: pass it as `work`.")
        with _workers_lock, self._wake:  # two that start at once must not both go on
            self._check_open("play")
            stop_all(but=self)
            if self.playing:
                return
            self.playing, self.error, self._stale, self._asked = True, None, True, True
            self._history = collections.deque([(time.perf_counter(), self._total)])
            self._start()

    def pause(self):
        """Stop working after the current slice, with a last picture. Commands still run."""
        with self._wake:
            if self.playing:
                self.playing, self._stale, self._asked = False, True, True
                self._wake.notify_all()

    def close(self):
        """End the thread after what it is doing; drop the queue. A closed worker stays closed."""
        with self._wake:
            self._closed, self.playing, self._stale = True, False, False
            self._commands.clear()
            self._wake.notify_all()

    def join(self, seconds):
        """Wait until the thread has ended, at most so long; return whether it has.

        A thread ends after `close`, or by itself after `IDLE_SECONDS` without work.
        """
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(seconds)
        return thread is None or not thread.is_alive()

    def run(self, *functions):
        """Do all that is queued, then these functions, in the calling thread; then draw.

        When it returns, everything submitted before has been done and can be seen, whether this
        call did it or the worker's thread. While it runs, that thread waits.

        Raises:
            RuntimeError: after `close`, or when called from a command of this worker.
            Exception: what a command, a function or the picture raised; it is in the status, too.
        """
        self._take_turn()
        try:
            failed = None
            while self._do_command():
                failed = failed or self.error
            for function in functions:
                if failed is None:
                    failed = self._try(function)
            shown = self._show()  # also after a failure: something may have changed
        finally:
            self._end_turn()
        if failed is not None or shown is not None:
            raise failed or shown

    @property
    def rate(self):
        """Steps of work a second over the last `RATE_SECONDS`; 0.0 while it rests."""
        with self._wake:
            if not self.playing or len(self._history) < 2:
                return 0.0
            (start, before), (end, after) = self._history[0], self._history[-1]
            return (after - before) / max(end - start, 1e-9)

    # Queue and turns ------------------------------------------------------------------------------

    def _check_open(self, wish):
        if self._closed:
            message = f"The panel {self.name!r} is closed and cannot {wish}: run its cell again."
            self._on_status(html.escape(message))  # a callback's exception is seen by nobody
            raise RuntimeError(message)

    def _drop(self, key):
        """Remove the waiting command of this key, looking back as far as the last click."""
        for index in range(len(self._commands) - 1, -1, -1):
            if self._commands[index][0] is None:
                return
            if self._commands[index][0] == key:
                del self._commands[index]
                return

    def _start(self):
        """Wake the thread; start it if there is none."""
        if self._thread is None:
            name = f"course panel {self.name}"
            thread = threading.Thread(target=self._loop, name=name, daemon=True)
            thread.start()  # it waits for the lock that the caller holds
            self._thread = thread
        self._wake.notify_all()

    def _loop(self):
        while self._wait_for_turn():
            try:
                if not self._do_command() and self.playing:
                    self._try(self._slice)
                if self._stale and self._seconds_to_frame() <= 0:
                    self._show()
            finally:
                self._end_turn()

    def _wait_for_turn(self):
        """Rest until there is something to do. Return False when the thread is to end."""
        with self._wake:
            while not self._closed:
                wait = self._seconds_to_frame() if self._stale else IDLE_SECONDS
                if self._owner is None and not self._guests:
                    if self._commands or self.playing or wait <= 0:
                        self._owner = threading.get_ident()
                        return True
                elif wait <= 0:
                    wait = IDLE_SECONDS  # whoever has the turn will notify
                woken = self._wake.wait(wait)
                if not (woken or self._commands or self.playing or self._stale):
                    break
            self._thread = None
            return False

    def _take_turn(self):
        """Wait until nobody computes; from then on it is the calling thread."""
        with self._wake:
            self._check_open("run")
            if self._owner == threading.get_ident():
                raise RuntimeError("run() was called from a command of its worker: use submit().")
            self._guests += 1
            try:
                self._wake.wait_for(lambda: self._owner is None)
                self._owner = threading.get_ident()
            finally:
                self._guests -= 1

    def _end_turn(self):
        with self._wake:
            self._owner = None
            self._wake.notify_all()

    # What is done in a turn -----------------------------------------------------------------------

    def _do_command(self):
        """Run the next command. Return False if there is none."""
        with self._wake:
            if not self._commands:
                return False
            _, function = self._commands.popleft()
            self._asked = True
        self._try(function)
        return True

    def _slice(self):
        steps = self._work(SLICE_SECONDS)
        with self._wake:
            now = time.perf_counter()
            self._total += 1 if steps is None else steps
            self._history.append((now, self._total))
            while len(self._history) > 2 and self._history[1][0] < now - RATE_SECONDS:
                self._history.popleft()

    def _try(self, function):
        """Call it; return its error, or None."""
        self.error, self._stale = None, True
        try:
            function()
        except BaseException as error:  # also SystemExit: a learner's exit() ends no thread
            self._fail(error)
        return self.error

    def _seconds_to_frame(self):
        """Seconds until the next picture may be drawn, below 0 if that was in the past.

        Time gives `FRAMES` credits a second, of which it keeps two, and a picture takes one. What
        only plays waits for the second, so that there is always one for what the reader does.
        """
        since = time.perf_counter() - self._drawn
        credit = min(2, self._credit + FRAMES * since)
        if self._asked:
            return (1 - credit) / FRAMES
        # Slow drawing gets at most half of the time; the rest is for the work.
        return max((2 - credit) / FRAMES, 2 * self._drawing_took - since)

    def _show(self):
        """Draw, and say what goes with it unless an error is being said; return the error."""
        if self._closed:
            return self.error
        self._stale = self._asked = False  # first: what changes while it is drawn is drawn again
        now = time.perf_counter()
        self._credit = max(0, min(2, self._credit + FRAMES * (now - self._drawn)) - 1)
        self._drawn = now
        try:
            words = self._publish()
            if self.error is None:
                self._on_status(words or "")
        except BaseException as error:
            self._fail(error)
            self._stale = False  # drawing again would fail again
        self._drawing_took = time.perf_counter() - self._drawn
        return self.error

    def _fail(self, error):
        """Pause, and show the error where the reader looks."""
        self.pause()
        self.error = error
        message = str(error)
        if len(message) > MESSAGE_LENGTH:
            message = message[:MESSAGE_LENGTH] + " ..."
        try:
            self._on_status(f"<b>{type(error).__name__}</b>: {html.escape(message)} (paused)")
        except BaseException:
            pass  # the panel is gone; `run` still raises the first error


def _forget_threads():
    """Let the workers of a forked process begin anew: threads don't come along, locks do."""
    global _workers_lock
    _workers_lock = threading.RLock()
    for worker in list(_workers):
        worker._reset()


def _close_all():
    """Let threads leave TensorFlow before the interpreter takes it down."""
    workers = list(_workers)
    for worker in workers:
        worker.close()
    end = time.perf_counter() + 2
    for worker in workers:
        worker.join(max(0.0, end - time.perf_counter()))


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget_threads)
