"""The passes of many small networks at once on the processor, by NumPy.

Its products of small matrices and its tanh take a third to a half of the time of torch's there (benchmarks/README.md),
and it writes into parts of a vector as fast as anywhere else. `lab.policies.mlp` has the same passes in torch.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

# Entries of the largest product from which NumPy's library may share it among threads; the lab uses a thread a core.
SHARED = 2**18


def _relu_slope(output: np.ndarray, out: np.ndarray) -> np.ndarray:
    return np.sign(output, out=out)


def _tanh_slope(output: np.ndarray, out: np.ndarray) -> np.ndarray:
    np.multiply(output, output, out=out)
    return np.subtract(1, out, out=out)


def _relu(values: np.ndarray) -> np.ndarray:
    return np.maximum(values, 0, out=values)


def _tanh(values: np.ndarray) -> np.ndarray:
    return np.tanh(values, out=values)


# activation: (itself, in place; its derivative by its output)
ACTIVATIONS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray, np.ndarray], np.ndarray]]] = {
    "relu": (_relu, _relu_slope),
    "tanh": (_tanh, _tanh_slope),
}


class Passes:
    """Passes of the networks of so many runs, in memory that each pass writes anew.

    What a pass returns holds until the next one of its kind.

    Args:
        shapes: of W1, b1, W2, b2, W3, b3, `MLP.shapes`.
        activation: "relu" or "tanh".
        runs: number of runs.
        terms: number of logit gradients that are carried back together.
        dtype: of all numbers.
    """

    def __init__(
        self, shapes: tuple[tuple[int, int], ...], activation: str, runs: int, terms: int, dtype: np.dtype
    ) -> None:
        self.shapes, self.runs, self.terms, self.dtype = shapes, runs, terms, dtype
        self.activate, self.slope = ACTIVATIONS[activation]
        (self.prompts, self.width), (_, self.responses) = shapes[0], shapes[-1]
        self.ones = np.ones((1, self.prompts), dtype)

    @staticmethod
    def small(shapes: tuple[tuple[int, int], ...], terms: int) -> bool:
        """Return whether every product of so many terms is small enough to be computed on one thread."""
        (prompts, width), (_, responses) = shapes[0], shapes[-1]
        return prompts * terms * width * max(width, responses) < SHARED

    def split(self, flat: np.ndarray) -> list[np.ndarray]:
        """View flat vectors [..., parameter] as `MLP.split` does."""
        pieces, start = [], 0
        for rows, columns in self.shapes:
            stop = start + rows * columns
            pieces.append(flat[..., start:stop].reshape(*flat.shape[:-1], rows, columns))
            start = stop
        return pieces

    @cached_property
    def layers(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return where the hidden layers and the logits are written."""
        hidden = (self.runs, self.prompts, self.width)
        return self._empty(*hidden), self._empty(*hidden), self._empty(*hidden[:2], self.responses)

    def forward(self, flat: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return both hidden layers [run, prompt, width] and the logits [run, prompt, response]."""
        w1, b1, w2, b2, w3, b3 = self.split(flat)
        first, second, logits = self.layers
        self.activate(np.add(w1, b1, out=first))
        np.matmul(first, w2, out=second)
        self.activate(np.add(second, b2, out=second))
        np.matmul(second, w3, out=logits)
        return first, second, np.add(logits, b3, out=logits)

    @cached_property
    def carried(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return where the gradients by what the layers put out are written, and a layer's slopes."""
        rows = (self.runs, self.terms * self.prompts, self.width)
        return self._empty(*rows), self._empty(*rows), self._empty(self.runs, 1, self.prompts, self.width)

    def back(
        self, flat: np.ndarray, first: np.ndarray, second: np.ndarray, by_logit: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the gradients by what the first and the second layer put out, each [run, term, prompt, width]."""
        _, _, w2, _, w3, _ = self.split(flat)
        front, behind, slope = self.carried
        # Stacking terms as rows copies no weight.
        carried = by_logit.reshape(self.runs, -1, self.responses)
        for block, weight, output in ((behind, w3, second), (front, w2, first)):
            np.matmul(carried, weight.mT, out=block)
            by_term = block.reshape(self.runs, self.terms, self.prompts, self.width)
            np.multiply(by_term, self.slope(output[:, None], slope), out=by_term)
            carried = block
        by_prompt = (self.runs, self.terms, self.prompts, self.width)
        return front.reshape(by_prompt), behind.reshape(by_prompt)

    @cached_property
    def gradients(self) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return where the gradients are written, [run, term, parameter], and the same split."""
        gradient = self._empty(self.runs, self.terms, sum(rows * columns for rows, columns in self.shapes))
        return gradient, self.split(gradient)

    def pullback(
        self, flat: np.ndarray, first: np.ndarray, second: np.ndarray, by_logit: np.ndarray
    ) -> np.ndarray:
        """Return v J, [run, term, parameter]."""
        front, behind = self.back(flat, first, second, by_logit)
        gradient, (w1, b1, w2, b2, w3, b3) = self.gradients
        w1[...] = front
        np.matmul(first.mT[:, None], behind, out=w2)
        np.matmul(second.mT[:, None], by_logit, out=w3)
        for by_output, bias in ((front, b1), (behind, b2), (by_logit, b3)):
            np.matmul(self.ones, by_output, out=bias)
        return gradient

    @cached_property
    def grams(self) -> tuple[np.ndarray, ...]:
        """Return where inner products are written: of inputs, of weighted gradients, sums for the biases, and twice all."""
        runs, terms, prompts, width = self.runs, self.terms, self.prompts, self.width
        return (
            self._empty(runs, prompts, prompts),
            self._empty(runs, terms, prompts, width),
            self._empty(runs, terms, prompts, self.responses),
            self._empty(runs, terms, 2 * width + self.responses),
            self._empty(runs, terms, terms),
            self._empty(runs, terms, terms),
        )

    def gram(self, flat: np.ndarray, first: np.ndarray, second: np.ndarray, by_logit: np.ndarray) -> np.ndarray:
        """Return (v J)(v J)^T as `MLP.gram` does, [run, term, term]."""
        front, behind = self.back(flat, first, second, by_logit)
        kernel, hidden, last, biases, total, part = self.grams
        start = 0
        for by_output in (front, behind, by_logit):
            stop = start + by_output.shape[-1]
            np.matmul(self.ones, by_output, out=biases[..., None, start:stop])
            start = stop
        np.matmul(biases, biases.mT, out=total)
        total += self._products(front, front, part)
        for inputs, by_output, weighted in ((first, behind, hidden), (second, by_logit, last)):
            np.matmul(inputs, inputs.mT, out=kernel)
            np.matmul(kernel[:, None], by_output, out=weighted)
            total += self._products(weighted, by_output, part)
        return total

    def _products(self, left: np.ndarray, right: np.ndarray, out: np.ndarray) -> np.ndarray:
        rows = (self.runs, self.terms, -1)
        return np.matmul(left.reshape(rows), right.reshape(rows).mT, out=out)

    def _empty(self, *shape: int) -> np.ndarray:
        return np.empty(shape, self.dtype)
