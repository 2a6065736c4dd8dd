"""Exercises: `check` an answer, ask for a `hint`, open the `solution`.

Each exercise is one small file beside this one, named as the function that the learner writes.
"""

import difflib
import importlib
import os
import pkgutil

from course_lib.checks import engine

__all__ = ["check", "exercise", "hint", "names", "solution"]


def names() -> tuple[str, ...]:
    """Returns the names of all exercises, sorted: the files here but for the machinery."""
    files = {module.name for module in pkgutil.iter_modules(__path__)}
    return tuple(sorted(files - {"engine"}))


def exercise(name: str) -> engine.Exercise:
    """Returns an exercise with all its texts, for those who write notebooks and tests.

    Raises:
        ValueError: If there is no exercise of that name; the message has the names nearest to it.
    """
    if name not in names():
        near = difflib.get_close_matches(str(name), names()) or names()
        raise ValueError(f"There is no exercise {name!r}. Did you mean: {', '.join(near)}?")
    return importlib.import_module(f"{__name__}.{name}").EXERCISE


def check(name: str, answer: object) -> engine.Result:
    """Returns the verdict on an answer: not attempted, wrong (and what is likely wrong), or right.

    No answer makes it raise, so that a notebook runs to its end with its exercises unsolved. With
    COURSE_GRADING=1 in the environment it raises for every answer that is not right.

    Args:
        name: Name of the exercise.
        answer: The learner's function.

    Raises:
        ValueError: If there is no such exercise, or COURSE_GRADING is neither 0 nor 1.
        AssertionError: If COURSE_GRADING is 1 and the answer is not right.
    """
    grading = os.environ.get("COURSE_GRADING", "0")
    if grading not in ("0", "1"):
        raise ValueError(f"COURSE_GRADING must be 0 or 1. Received: {grading!r}.")
    result = engine.judge(exercise(name), answer)
    if grading == "1" and result.status != engine.RIGHT:
        raise AssertionError(str(result))
    return result


def hint(name: str, number: int = 1) -> engine.Note:
    """Returns a hint; the higher its number, the more it gives away.

    Raises:
        ValueError: If there is no such exercise, or no hint of that number.
    """
    hints = exercise(name).hints
    if number not in range(1, len(hints) + 1):
        raise ValueError(f"{name} has the hints 1 to {len(hints)}. Received: {number!r}.")
    return engine.Note(f"Hint {number} of {len(hints)} for {name}", hints[number - 1])


def solution(name: str) -> engine.Note:
    """Returns the solution, and why it is right.

    Raises:
        ValueError: If there is no such exercise.
    """
    found = exercise(name)
    return engine.Note(f"Solution of {name}", found.explanation, found.solution)
