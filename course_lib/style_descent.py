"""L-BFGS over one picture a step at a time, so that what is minimised may change in between."""

import numpy as np

FIRST = 0.05  # root mean square of the first step
SHORTER, TRIES = 0.3, 6  # by how much a step is shortened, and how often it is tried


class Descent:
    """L-BFGS over one picture, a step at a time (Nocedal and Wright 2006, algorithm 7.4).

    It learns the curvature from its last steps; for a changed objective begin another one. A step
    that would raise the objective is shortened, so that the total never rises. SciPy's L-BFGS-B
    needs as many evaluations, but where pixels meet the bounds most of its time goes to the bounds.

    Attributes:
        evaluations: of the objective, so far.
    """

    def __init__(self, objective, *, memory=10):
        """Begin; `memory` is the number of steps that it remembers."""
        self._objective, self._memory = objective, memory
        self._pairs, self.evaluations = [], 0  # changes of picture and gradient, their product

    def step(self, image, found):
        """Take one step.

        Args:
            image: float32 (height, width, 3) in [-1, 1].
            found: the objective's `value_and_gradient` there.

        Returns:
            The next picture, float32 in [-1, 1], and its `value_and_gradient`. They are those given
            where no step down was found; the next call then looks along the gradient.
        """
        (terms, gradient), move = found, self._move(found[1])
        for _ in range(TRIES):
            trial = np.clip(image + move, -1, 1)
            there = self._objective.value_and_gradient(trial)
            self.evaluations += 1
            if there[0]["total"] <= terms["total"]:
                self._remember(trial - image, there[1] - gradient)
                return trial, there
            move = SHORTER * move
        self._pairs = []
        return image, found

    def _move(self, gradient):
        """The gradient times the estimated inverse Hessian, downwards."""
        move, shares = -gradient, []
        for step, change, product in reversed(self._pairs):
            shares.append(np.vdot(step, move) / product)
            move = move - shares[-1] * change
        if not self._pairs:
            return move * FIRST / max(float(np.sqrt(np.mean(gradient**2))), 1e-20)
        _, change, product = self._pairs[-1]
        move = move * product / np.vdot(change, change)
        for (step, change, product), share in zip(self._pairs, reversed(shares), strict=True):
            move = move + (share - np.vdot(change, move) / product) * step
        return move

    def _remember(self, step, change):
        product = np.vdot(step, change)
        if product > 1e-10 * np.vdot(change, change):  # else the curvature is not positive
            self._pairs = [*self._pairs, (step, change, product)][-self._memory :]
