"""The machinery of the exercises: what an exercise is, and how an answer is judged.

The words for the learner, `check`, `hint` and `solution`, are in `course_lib.checks`. An exercise's
own check is a function `check(attempt)`: it calls `attempt(...)` as it would call the learner's
function, looks at what comes back with `numbers` and `compare`, and raises `Wrong` with the likely
mistake. Everything that a learner's function can do to a check is dealt with here.
"""

import ctypes
import html
import re
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

NOT_ATTEMPTED, WRONG, RIGHT = "not attempted", "wrong", "right"
SYMBOLS = {NOT_ATTEMPTED: "○", WRONG: "✗", RIGHT: "✓"}
# Grey, vermilion and blue of Okabe and Ito: told apart by every common kind of colour vision, and
# never alone: the symbol and the word stand beside them.
COLOURS = {NOT_ATTEMPTED: "#666666", WRONG: "#D55E00", RIGHT: "#0072B2"}


class Wrong(Exception):
    """Raised by a check; its message names the likely mistake and never contains the solution."""


class NotAttempted(Exception):
    """Raised where the learner's function still returns the `...` of the stub."""


class _TimeUp(SystemExit):
    """Stops an endless loop from outside; a thread that ends with SystemExit ends silently."""


# What an exercise is ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class WrongAnswer:
    """A planted wrong answer of the tests, and a part of the message it must get."""

    source: str
    says: str


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """One exercise: all that the learner sees, the check, and the answers that test the check.

    Attributes:
        name: Name of the exercise, of its file and of the function that the learner writes.
        title: What is to be done, in a few words.
        notebook: Stem of the notebook's file, such as "06_first_faces".
        minutes: Time that a learner needs, in minutes.
        difficulty: 1 (one line, shown just before), 2 (a step of one's own) or 3 (a small idea).
        stub: Source of the cell that the learner fills in; its function returns `...`.
        hints: Two or three, each giving away more than the one before.
        solution: Source that replaces the stub, with the names of the notebook's set-up cell.
        explanation: Why the solution is right, and what the usual mistakes lead to.
        check: Function (attempt) -> None that raises `Wrong`; see the module.
        right_answers: Other right sources, in another style, for the tests.
        wrong_answers: Planted mistakes, for the tests.
        seconds: Time limit of one call of the learner's function.

    Raises:
        ValueError: If a value is out of its range; the message names it.
    """

    name: str
    title: str
    notebook: str
    minutes: int
    difficulty: int
    stub: str
    hints: tuple[str, ...]
    solution: str
    explanation: str
    check: Callable[["Attempt"], None]
    right_answers: tuple[str, ...]
    wrong_answers: tuple[WrongAnswer, ...]
    seconds: float = 10.0

    def __post_init__(self):
        rules = {
            "name, a Python name": self.name.isidentifier(),
            "minutes, from 1 to 60": 1 <= self.minutes <= 60,
            "difficulty, 1, 2 or 3": self.difficulty in (1, 2, 3),
            "hints, two or three": len(self.hints) in (2, 3),
            "right_answers, at least one": len(self.right_answers) >= 1,
            "wrong_answers, at least two": len(self.wrong_answers) >= 2,
            "stub, which defines the function": f"def {self.name}(" in self.stub,
            "solution, which defines the function": f"def {self.name}(" in self.solution,
        }
        for rule, holds in rules.items():
            if not holds:
                value = getattr(self, rule.split(",")[0])
                raise ValueError(f"Exercise {self.name!r} needs {rule}. Received: {value!r}.")


# What the learner sees ----------------------------------------------------------------------------


def _html(text: str) -> str:
    """Escapes a text for HTML; `code` in backticks becomes code, an empty line a new paragraph."""
    escaped = re.sub(r"`([^`\n]+)`", r"<code>\1</code>", html.escape(text))
    return escaped.replace("\n\n", "<br><br>")


@dataclass(frozen=True)
class Note:
    """A hint or a solution: plain text in a terminal, a box in a notebook."""

    heading: str
    text: str
    source: str = ""

    def __str__(self) -> str:
        return "\n\n".join(part for part in (self.heading, self.source.strip(), self.text) if part)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        source = (
            f"<pre><code>{html.escape(self.source.strip())}</code></pre>" if self.source else ""
        )
        return _box(
            "#666666", f"<b>{html.escape(self.heading)}</b>{source}<div>{_html(self.text)}</div>"
        )


@dataclass(frozen=True)
class Result:
    """What a check says about an answer: a status with its symbol and word, and a message."""

    name: str
    status: str
    message: str

    def __str__(self) -> str:
        return f"{SYMBOLS[self.status]} {self.status} · {self.name}: {self.message}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        colour = COLOURS[self.status]
        word = f'<b style="color:{colour}">{SYMBOLS[self.status]} {html.escape(self.status)}</b>'
        name = f"<code>{html.escape(self.name)}</code>"
        return _box(colour, f"{word} · {name}<div>{_html(self.message)}</div>")


def _box(colour: str, content: str) -> str:
    style = f"border-left:4px solid {colour};padding:0.3em 0.8em;margin:0.3em 0"
    return f'<div role="status" style="{style}">{content}</div>'


# How an answer is called --------------------------------------------------------------------------


def _describe(error: BaseException) -> str:
    """The type and the first lines of the message of an exception from the learner's code."""
    try:
        text = str(error).strip()
    except Exception:  # an exception of the learner's own may fail to print
        text = ""
    text = text if len(text) <= 300 else text[:300] + " ..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _same(before: object, after: object) -> bool:
    """Tells whether an argument is still what was passed; only arrays can change unnoticed."""
    if not isinstance(before, np.ndarray):
        return True
    same_kind = before.shape == after.shape and before.dtype == after.dtype
    return same_kind and before.tobytes() == after.tobytes()


def _copy(value: object) -> object:
    return value.copy() if isinstance(value, np.ndarray) else value


def _run(function: Callable[[], object], seconds: float) -> tuple[str, object]:
    """Calls a function in a thread of its own, for so many seconds at most.

    A thread, because it can be left behind on every system, and stopped where it runs Python code.

    Returns:
        ("returned", value), ("raised", exception) or ("late", None).
    """
    outcome: list[tuple[str, object]] = []

    def work() -> None:
        try:
            with np.errstate(all="ignore"):
                outcome.append(("returned", function()))
        except _TimeUp:
            return
        except BaseException as error:  # `exit()` in the learner's function included
            outcome.append(("raised", error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        thread.join(seconds)
    finally:  # also when the learner interrupts the kernel
        if thread.is_alive():
            identity = ctypes.c_ulong(thread.ident)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(identity, ctypes.py_object(_TimeUp))
    return outcome[0] if outcome else ("late", None)


class Attempt:
    """The learner's function as a check calls it: on copies, with a time limit, safe to call."""

    def __init__(self, answer: object, *, name: str, seconds: float):
        self._answer = answer
        self._name = name
        self._seconds = seconds

    def __call__(self, *arguments: object) -> object:
        """Returns what the learner's function returns, neither `...` nor None.

        Raises:
            NotAttempted: If it returns `...`, as the stub does.
            Wrong: If it raises, returns nothing, runs too long, or changes an argument.
        """
        copies = tuple(_copy(argument) for argument in arguments)
        kind, value = _run(lambda: self._answer(*copies), self._seconds)
        if kind == "raised":
            raise Wrong(f"Your function stopped with an error: {_describe(value)}")
        if kind == "late":
            raise Wrong(
                f"Your function was still running after {self._seconds:g} seconds. Look for a "
                "loop that never ends."
            )
        if value is ...:
            raise NotAttempted
        if value is None:
            raise Wrong(
                f"`{self._name}` returned None. Its last line has to be `return ...`, with your "
                "result."
            )
        if not all(map(_same, arguments, copies)):
            raise Wrong(
                "Your function changed the array it was given, so the caller's data are damaged. "
                "Make a new array: `x = x + 1`, not `x += 1` or `x[...] = 1`."
            )
        return value


def judge(exercise: Exercise, answer: object) -> Result:
    """Returns the verdict of an exercise's check on an answer; raises for no answer at all."""
    if answer is ...:
        return _not_attempted(exercise)
    if not callable(answer):
        message = (
            f"The check needs the function itself: `{exercise.name}`, without parentheses. It "
            f"got a value of type {type(answer).__name__}."
        )
        return Result(exercise.name, WRONG, message)
    attempt = Attempt(answer, name=exercise.name, seconds=exercise.seconds)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an overflow is named by the check, in its own words
            exercise.check(attempt)
    except NotAttempted:
        return _not_attempted(exercise)
    except Wrong as mistake:
        return Result(exercise.name, WRONG, str(mistake))
    except Exception as error:  # a value that no check foresaw: an object that fails when compared
        message = f"The check can't read what your function returned. {_describe(error)}"
        return Result(exercise.name, WRONG, message)
    message = f'Well done. `checks.solution("{exercise.name}")` says why it works.'
    return Result(exercise.name, RIGHT, message)


def _not_attempted(exercise: Exercise) -> Result:
    message = (
        f"Replace the `...` in the cell above, run it, then run this cell again. About "
        f'{exercise.minutes} minutes. `checks.hint("{exercise.name}", 1)` gives a first hint.'
    )
    return Result(exercise.name, NOT_ATTEMPTED, message)


# What a check looks at ----------------------------------------------------------------------------


def numbers(value: object, *, shape: tuple[int, ...] | None = None, what: str = "result"):
    """Returns a learner's result as a NumPy array: from NumPy, TensorFlow, Keras or plain Python.

    Args:
        value: What the learner's function returned.
        shape: The shape that it must have; None: any.
        what: What it is called in the message.

    Raises:
        Wrong: If it is not made of numbers, or has another shape; the message names both shapes.
    """
    try:
        array = np.asarray(value)
        is_numeric = array.dtype.kind in "biuf" or array.dtype.name == "bfloat16"
    except Exception as error:
        raise Wrong(
            f"Your {what} has to hold numbers. It is a {type(value).__name__}, and reading it "
            f"fails with {_describe(error)}"
        ) from error
    if not is_numeric:
        raise Wrong(f"Your {what} has to hold numbers. It is a {type(value).__name__}.")
    if shape is not None and array.shape != shape:
        raise Wrong(f"Your {what} has to have the shape {shape}. It has the shape {array.shape}.")
    return array


def compare(
    actual: np.ndarray,
    expected: object,
    *,
    question: str,
    mistakes: Sequence[tuple[object, str]] = (),
    tolerance: float = 1e-5,
) -> None:
    """Compares a result with the right one and, where it is another, names the mistake behind it.

    Args:
        actual: Array of numbers from the learner.
        expected: The right numbers, of the same shape.
        question: What was asked, for the general message: "For the logits 0 and 2".
        mistakes: (value, message) pairs: what a known mistake gives, and what to say about it.
        tolerance: Largest allowed difference, relative to the size of the numbers (or to 1).

    Raises:
        Wrong: With the message of the first mistake that fits, or with both numbers.
    """
    if _close(actual, expected, tolerance):
        return
    recognise(actual, mistakes, tolerance=tolerance)
    if not np.all(np.isfinite(actual.astype(np.float64))):
        raise Wrong(f"{question}, your result holds inf or nan.")
    raise Wrong(f"{question}, the right answer is {_show(expected)}. Yours is {_show(actual)}.")


def recognise(
    actual: np.ndarray, mistakes: Sequence[tuple[object, str]], *, tolerance: float = 1e-5
) -> None:
    """Raises `Wrong` with the message of the first (value, message) whose value a result equals."""
    for value, message in mistakes:
        if np.shape(value) == actual.shape and _close(actual, value, tolerance):
            raise Wrong(message)


def _close(actual: np.ndarray, expected: object, tolerance: float) -> bool:
    actual = np.asarray(actual).astype(np.float64)
    return np.allclose(actual, np.asarray(expected, np.float64), rtol=tolerance, atol=tolerance)


def _show(value: object) -> str:
    """The number, or the first six of an array."""
    array = np.asarray(value).astype(np.float64)
    if array.ndim == 0:
        return f"{array:.6g}"
    shown = ", ".join(f"{number:.6g}" for number in array.ravel()[:6])
    return f"[{shown}{', ...' if array.size > 6 else ''}]"
