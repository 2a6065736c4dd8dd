"""The training loop: progress, reports, checkpoints, resuming, and stopping on NaN.

`fit` is handed a step and knows nothing of what the step does. Its one clock is the number of
images seen.
"""

import contextlib
import numbers
import signal
import sys
import threading
import time
import types

import numpy as np
import tensorflow as tf
from tqdm import tqdm  # plain text: a notebook stores it, and needs no widget to show it

from course_lib import checkpoints, cluster
from course_lib.checkpoints import CorruptCheckpointError
from course_lib.progress import (
    DivergedError,
    Progress,
    finite_variables,
    listed,
    load_checkpoint,
    load_progress,
    plain_settings,
    require_same_settings,
    save_checkpoint,
)
from course_lib.replicas import Replicas

_REPORTS = 50  # in a run, unless told otherwise
_CHECKPOINTS = 20
_MOST_PENDING = 1024  # steps whose metrics may wait on the device


def fit(
    step,
    batches,
    *,
    images_seen,
    state,
    config=None,
    folder=None,
    report_every=None,
    checkpoint_every=None,
    on_report=None,
    tensorboard=None,
    progress=True,
    strategy=None,
):
    """Call the step on one batch after the other until `images_seen`, and return the reports.

    With a folder, the run continues there from the last checkpoint: a run that was killed and
    started again gives, on the same machine, the same bits as one that was not. Ctrl-C and
    SIGTERM let the current step finish, save, and return what there is; a second one stops at
    once. A thread other than the main one receives no signals; there (or anywhere)
    `on_report` may raise KeyboardInterrupt to the same effect. An interrupt raised by the
    step itself may leave that one step half done in what is saved.

    Args:
        step: callable, batch -> dict of name -> scalar tensor. It changes only `state`.
        batches: has `batch_size`, and `from_step(k)`, an endless iterator over batches of
            that size from the k-th on, the same ones each time. A batch is a tensor of
            images, or a tuple that starts with one.
        images_seen: where the clock shall end, counted over all runs in the folder; rounded
            up to whole batches.
        state: dict of name -> every built model and optimizer, seed generator and variable
            that the step changes; `Gan.objects()` for a GAN.
        config: dataclass of plain values that define the step; saved, and compared.
        folder: for checkpoints, made if missing; None keeps the run in memory only.
        report_every: images between reports; None for about 50 reports.
        checkpoint_every: images between checkpoints; None for about 20. One is also saved
            at the end.
        on_report: callable (images_seen, dict of name -> float), called after each report.
        tensorboard: folder for event files; None for none.
        progress: whether to show a progress bar and notices; False is silent.
        strategy: the `tf.distribute.Strategy` (`runtime.strategy()`) under whose scope networks,
            optimizers and a GAN's step were made; None for one device. Each update takes
            one batch of `batches.batch_size` images, split among the replicas, and does what one
            replica would with it, to rounding; a folder may be continued on another number of
            them. Of several workers each calls this function with the same arguments, reads its
            own part of the batches, and calls `on_report`; only the chief, the first, writes and
            shows progress. A stop by signal then comes at the next report, for all together.

    Returns:
        `History`. Its `interrupted` says whether the run was stopped before `images_seen`.

    Raises:
        ValueError: if a number is out of range, the folder was trained with other settings or
            another architecture (both sides are listed), or an object is not built.
        DivergedError: if a metric or variable is NaN or infinite, at the next report at the
            latest. The last checkpoint is from before.
        CorruptCheckpointError: if the folder holds checkpoints and none can be read.
        RuntimeError: if another run uses the folder.
        OSError: if the folder cannot be written to, or the disk is full.
    """
    here = Replicas(strategy)
    progress = progress and here.is_chief
    target = _whole_batches(images_seen, batches, progress)
    run = _Run(here, step, batches, state=state, config=config, folder=folder, on_report=on_report)
    run.report_every = _interval("report_every", report_every, target / _REPORTS)
    run.checkpoint_every = _interval("checkpoint_every", checkpoint_every, target / _CHECKPOINTS)
    with contextlib.ExitStack() as stack:
        if folder is not None:
            if here.is_chief:
                stack.enter_context(checkpoints.locked(folder))
            run.resume(tell=progress)
        run.write_event = stack.enter_context(_event_writer(tensorboard if here.is_chief else None))
        stop = stack.enter_context(_stop_on_signal())
        run.bar = stack.enter_context(_progress_bar(run.progress.images_seen, target, progress))
        try:
            run.train(target, stop)
        except KeyboardInterrupt:  # raised by step or on_report, or by a second signal
            if stop.at_once:
                raise
            stop.requested = True
        run.finish(interrupted=stop.requested)
    if stop.requested and here.is_chief:
        print(run.how_to_continue(target))
    return run.progress.history


class _Run:
    """One call of `fit`: what its loop needs, and where it stands."""

    def __init__(self, here, step, batches, *, state, config, folder, on_report):
        self.here, self.step, self.size = here, here.step(step), batches.batch_size
        self.batches, self.state = here.part_of(batches), state
        self.config, self.folder, self.on_report = config, folder, on_report
        checkpoints.named_variables(state)  # raises now if something is not built
        settings = self._settings()
        self.progress = Progress(settings=settings, current_settings=settings)
        self.waiting = []  # metrics of steps, still on the device
        self.latest = {}  # metrics of the last step that was looked at
        self.saved_at = None
        self.started = time.perf_counter()

    def resume(self, *, tell):
        """Restore the newest checkpoint of the folder, if there is one."""
        found = load_progress(self.folder)
        self._require_same_start(found[0].images_seen if found else 0)
        if found is None:
            return
        progress, arrays = found
        require_same_settings(self.folder, self.progress.settings, progress)
        checkpoints.restore_state(self.state, arrays)
        self.progress = progress
        self.saved_at = progress.images_seen
        self.started = time.perf_counter() - progress.seconds
        if tell:
            print(f"Continuing after {progress.images_seen:,} images, from {progress.path}.")

    def _require_same_start(self, images_seen):
        """Raise on every worker if not all have found the same checkpoint."""
        most = self.here.largest(images_seen)
        if self.here.any(images_seen != most):
            raise ValueError(
                f"In {self.folder} worker {self.here.worker} found a run after {images_seen:,} "
                f"images, but the furthest of all workers is after {round(most):,}: they need the "
                "same folder, on a disk that they share."
            )

    def train(self, target, stop):
        """Run the loop until the clock shows `target` or a stop is requested."""
        progress, size = self.progress, self.size
        several = self.here.workers > 1
        if progress.images_seen >= target:
            return
        next_report = _next_multiple(self.report_every, progress.images_seen)
        next_save = _next_multiple(self.checkpoint_every, progress.images_seen)
        most_waiting = 1  # look at the first step at once: most mistakes show there
        for batch in _endless(self.batches, progress.images_seen // size):
            if stop.requested and not several:
                return
            cluster.beat()
            self.waiting.append(self.step(batch))
            progress.images_seen += size
            self.bar.update(size)
            if len(self.waiting) >= most_waiting:
                self.collect()
                most_waiting = _MOST_PENDING
            if progress.images_seen >= next_report:
                self.report()
                next_report = _next_multiple(self.report_every, progress.images_seen)
                if several and self.here.any(stop.requested):
                    stop.requested = True  # all workers leave after the same step
                    return
            if self.folder is not None and progress.images_seen >= next_save:
                self.save()
                next_save = _next_multiple(self.checkpoint_every, progress.images_seen)
            if progress.images_seen >= target:
                return

    def finish(self, *, interrupted):
        """Save, having made sure that the variables are finite, and report what is left."""
        self.collect()
        if self.folder is None:
            finite_variables(self.state, self.progress)
        elif self.saved_at != self.progress.images_seen:
            self.save()
        # After saving: a run that goes on later completes this interval instead.
        if self.progress.pending and not interrupted:
            self.report()
        self.progress.history.interrupted = interrupted

    def collect(self):
        """Fetch the waiting metrics from the device; stop at the first that is not finite."""
        if not self.waiting:
            return
        progress, size = self.progress, self.size
        _require_scalars(self.waiting, progress.pending or progress.history.names)
        columns = {
            name: np.asarray(tf.stack([metrics[name] for metrics in self.waiting]), np.float64)
            for name in self.waiting[0]
        }
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        finite = np.all([np.isfinite(column) for column in columns.values()], axis=0)
        if not finite.all():
            bad = int(np.argmin(finite))
            step = progress.images_seen // size - len(rows) + bad + 1
            raise DivergedError(
                step=step,
                images_seen=step * size,
                values=rows[bad],
                last_finite=rows[bad - 1] if bad else self.latest,
                checkpoint=progress.path,
            )
        self.latest = rows[-1]
        for name, column in columns.items():
            earlier = progress.pending.get(name, np.zeros(0))
            progress.pending[name] = np.concatenate([earlier, column])
        self.waiting.clear()

    def report(self):
        """Add the means since the last report to the history, and show them."""
        self.collect()
        progress = self.progress
        means = {name: float(np.mean(values)) for name, values in progress.pending.items()}
        progress.pending = {}
        progress.seconds = time.perf_counter() - self.started
        progress.history.add(progress.images_seen, progress.seconds, means)
        self.bar.set_postfix_str(listed(means, most=4), refresh=False)
        self.write_event(progress.images_seen, means)
        if self.on_report is not None:
            self.on_report(progress.images_seen, means)

    def save(self):
        self.collect()
        self.progress.seconds = time.perf_counter() - self.started
        self.progress.current_settings = self._settings()
        if self.here.is_chief:
            self.progress.path = save_checkpoint(self.folder, self.state, self.progress)
        else:
            finite_variables(self.state, self.progress)
        self.saved_at = self.progress.images_seen

    def how_to_continue(self, target):
        done = f"Stopped after {self.progress.images_seen:,} of {target:,} images."
        if self.folder is None:
            return f"{done} Without a folder this run cannot continue; the networks stay trained."
        return f"{done} Call fit again with folder={str(self.folder)!r} to continue."

    def _settings(self):
        return plain_settings(self.size, self.config, self.state)


def _whole_batches(images_seen, batches, tell):
    size = batches.batch_size
    if not isinstance(size, numbers.Integral) or size < 1:
        raise ValueError(f"batches.batch_size must be a whole number above 0, got {size!r}.")
    if not isinstance(images_seen, numbers.Integral) or images_seen < 1:
        raise ValueError(f"images_seen must be a whole number above 0, got {images_seen!r}.")
    target = -(-images_seen // size) * size
    if tell and target != images_seen:
        print(f"{images_seen:,} images are not whole batches of {size}: training on {target:,}.")
    return target


def _interval(name, value, default):
    if value is None:
        return max(1, round(default))
    if not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f"{name} must be a whole number of images above 0, got {value!r}.")
    return value


def _next_multiple(interval, images_seen):
    return (images_seen // interval + 1) * interval


def _endless(batches, first_step):
    """Yield the batches from a step on; they must have the size they say, and not end."""
    iterator = iter(batches.from_step(first_step))
    for number, batch in enumerate(iterator):
        if number == 0:
            images = batch[0] if isinstance(batch, tuple) else batch
            if len(images) != batches.batch_size:
                raise ValueError(
                    f"batches.batch_size is {batches.batch_size}, but the first batch has "
                    f"{len(images)} images."
                )
        yield batch
    raise ValueError(
        f"batches.from_step({first_step}) is not endless: repeat the data, in a new order."
    )


def _require_scalars(waiting, names):
    """Raise if a step did not return the scalars that it and earlier runs return."""
    first = waiting[0]
    if not isinstance(first, dict) or not first:
        raise TypeError(
            f"The step must return a dict of name -> scalar tensor, got {type(first).__name__}."
        )
    for name, value in first.items():
        if tuple(np.shape(value)) != ():
            raise ValueError(f"Metric {name!r} must be a scalar, got shape {np.shape(value)}.")
    if reserved := first.keys() & {"images_seen", "seconds"}:
        raise ValueError(f"{reserved.pop()!r} is a column of the history: rename the metric.")
    names = set(names) or first.keys()
    for metrics in waiting:
        if metrics.keys() != names:
            raise ValueError(
                f"The step returns the metrics {', '.join(metrics)}, but before it returned "
                f"{', '.join(sorted(names))}: train a changed step in a new folder."
            )


def _progress_bar(done, target, show):
    return tqdm(
        initial=min(done, target),
        total=target,
        unit=" images",
        unit_scale=True,
        mininterval=1.0,  # a notebook stores what is shown
        file=sys.stdout,
        disable=not show,
    )


@contextlib.contextmanager
def _stop_on_signal():
    """Yield an object whose `requested` becomes True on SIGINT or SIGTERM, in the main thread."""
    stop = types.SimpleNamespace(requested=False, at_once=False)

    def request(_number, _frame):
        if stop.requested:
            stop.at_once = True
            raise KeyboardInterrupt
        stop.requested = True

    earlier = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                # Keep out of the way of nohup (ignored) and of handlers not set by Python.
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    earlier[number] = signal.signal(number, request)
        yield stop
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _event_writer(folder):
    """Yield a function (images_seen, metrics) that writes TensorBoard scalars, or nothing."""
    if folder is None:
        yield lambda images_seen, metrics: None
        return
    writer = tf.summary.create_file_writer(str(folder))
    # tf.summary.scalar would need the tensorboard package, which only looking at them needs.
    plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
    scalar = tf.compat.v1.SummaryMetadata(plugin_data=plugin, data_class="DATA_CLASS_SCALAR")

    def write(images_seen, metrics):
        with writer.as_default():
            for name, value in metrics.items():
                tf.summary.write(name, np.float32(value), step=images_seen, metadata=scalar)
        writer.flush()

    try:
        yield write
    finally:
        writer.close()


__all__ = [
    "CorruptCheckpointError",
    "DivergedError",
    "Progress",
    "fit",
    "load_checkpoint",
    "save_checkpoint",
]
