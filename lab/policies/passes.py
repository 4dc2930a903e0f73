"""The passes of many small networks at once on the processor, by NumPy.

Its products of small matrices and its tanh take a third to a half of the time of torch's there (benchmarks/README.md),
and it writes into parts of a vector as fast as anywhere else. `lab.policies.mlp` has the same passes in torch.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# Multiplications in a product from which NumPy's library shares it among threads; the lab's threads work apart.
SHARED = 2**18
# A run that leaves the numbers is told of by the training, as in torch.
QUIET = np.errstate(over="ignore", invalid="ignore", divide="ignore")

Shapes = tuple[tuple[int, int], ...]


def _relu(values: np.ndarray) -> np.ndarray:
    return np.maximum(values, 0, out=values)


def _relu_slope(output: np.ndarray, out: np.ndarray) -> None:
    np.sign(output, out=out)


def _tanh(values: np.ndarray) -> np.ndarray:
    return np.tanh(values, out=values)


def _tanh_slope(output: np.ndarray, out: np.ndarray) -> None:
    np.multiply(output, output, out=out)
    np.subtract(1, out, out=out)


# activation: (itself, in place; its derivative, by its output)
ACTIVATIONS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray, np.ndarray], None]]] = {
    "relu": (_relu, _relu_slope),
    "tanh": (_tanh, _tanh_slope),
}


class Passes:
    """Passes of the networks of so many runs, in memory that every pass writes anew.

    What a pass returns holds until the next one of its kind. With d(x) the gradient by what a layer puts out, they are
    those of `lab.policies.mlp`.

    Args:
        shapes: of W1, b1, W2, b2, W3, b3, `MLP.shapes`.
        activation: "relu" or "tanh".
        runs: number of runs.
        dtype: of all numbers, "float64" or "float32".
    """

    def __init__(self, shapes: Shapes, activation: str, runs: int, dtype: str) -> None:
        self.shapes, self.runs, self.dtype = shapes, runs, dtype
        self.activate, self.slope = ACTIVATIONS[activation]
        (self.prompts, self.width), (_, self.responses) = shapes[0], shapes[-1]
        self.ones = np.ones((1, self.prompts), dtype)
        self.one_hot = np.eye(self.prompts, dtype=dtype) + 1
        self._kept: dict[tuple[object, ...], np.ndarray] = {}

    @staticmethod
    def small(shapes: Shapes, terms: int) -> bool:
        """Return whether every product of so many terms is computed on one thread."""
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

    @QUIET
    def forward(self, flat: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return both hidden layers [run, prompt, width] and the logits [run, prompt, response]."""
        w1, b1, w2, b2, w3, b3 = self.split(flat)
        first, second = self._room("first", self.prompts, self.width), self._room("second", self.prompts, self.width)
        logits = self._room("logits", self.prompts, self.responses)
        self.activate(np.add(w1, b1, out=first))
        np.matmul(first, w2, out=second)
        self.activate(np.add(second, b2, out=second))
        np.matmul(second, w3, out=logits)
        return first, second, np.add(logits, b3, out=logits)

    @QUIET
    def pullback(self, flat: np.ndarray, first: np.ndarray, second: np.ndarray, by_logit: np.ndarray) -> np.ndarray:
        """Return v J, [run, term, parameter]."""
        return self._gradient(first, second, *self._back(flat, first, second, by_logit), by_logit)

    @QUIET
    def gram(self, flat: np.ndarray, first: np.ndarray, second: np.ndarray, by_logit: np.ndarray) -> np.ndarray:
        """Return (v J)(v J)^T, [run, term, term]."""
        return self._gram(first, second, *self._back(flat, first, second, by_logit), by_logit)

    @QUIET
    def pull(self, flat: np.ndarray, first: np.ndarray, second: np.ndarray, by_logit: np.ndarray) -> np.ndarray:
        """Return the sum of v J over the terms, [run, parameter]."""
        carried = (*self._back(flat, first, second, by_logit), by_logit)
        parts = (part.sum(1, keepdims=True) for part in carried)
        return self._gradient(first, second, *parts)[:, 0]

    @QUIET
    def pull_measured(
        self, flat: np.ndarray, first: np.ndarray, second: np.ndarray, by_logit: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the same bits as `pull`, and of the terms what `lab.gradients.measure_gram` reads.

        Each term is carried back divided by a power of two near its largest entry: its squares then neither under- nor
        overflow, and nothing is rounded.

        Returns:
            The sum of v J [run, parameter]; the inner products of the scaled terms [run, term, term]; the scales, 0 for
            a term that is zero, [run, term, 1].
        """
        terms = by_logit.shape[1]
        scaled, scale = self._room("scaled", *by_logit.shape[1:]), self._room("scale", 1, terms)
        np.abs(by_logit, out=scaled)
        peak = scaled.reshape(self.runs, terms, -1).max(-1)
        np.ldexp(1.0, np.frexp(peak)[1] - 1, out=scale[:, 0])
        np.divide(by_logit, scale.reshape(self.runs, terms, 1, 1), out=scaled)
        front, behind = self._back(flat, first, second, scaled)
        gram = self._gram(first, second, front, behind, scaled)
        parts = (
            np.matmul(scale, part.reshape(self.runs, terms, -1)).reshape(self.runs, 1, *part.shape[2:])
            for part in (front, behind, scaled)
        )
        gradient = self._gradient(first, second, *parts)[:, 0]
        return gradient, gram, (scale[:, 0] * (peak != 0))[..., None]

    def _back(
        self, flat: np.ndarray, first: np.ndarray, second: np.ndarray, by_logit: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return d(x) of the first and of the second layer, each [run, term, prompt, width]."""
        _, _, w2, _, w3, _ = self.split(flat)
        terms = by_logit.shape[1]
        slope = self._room("slope", 1, self.prompts, self.width)
        # Stacking terms as rows copies no weight.
        rows, found = by_logit.reshape(self.runs, -1, self.responses), []
        for name, weight, output in (("behind", w3, second), ("front", w2, first)):
            block = self._room(name, terms * self.prompts, self.width)
            np.matmul(rows, weight.mT, out=block)
            by_term = block.reshape(self.runs, terms, self.prompts, self.width)
            self.slope(output[:, None], slope)
            np.multiply(by_term, slope, out=by_term)
            rows = block
            found.append(by_term)
        return found[1], found[0]

    def _gradient(
        self, first: np.ndarray, second: np.ndarray, front: np.ndarray, behind: np.ndarray, by_logit: np.ndarray
    ) -> np.ndarray:
        """Return the gradients of weights, input(x) (x) d(x) summed over x, and of biases, d(x) summed."""
        gradient = self._room("gradient", front.shape[1], sum(rows * columns for rows, columns in self.shapes))
        w1, b1, w2, b2, w3, b3 = self.split(gradient)
        w1[...] = front  # the inputs are one-hot
        np.matmul(first.mT[:, None], behind, out=w2)
        np.matmul(second.mT[:, None], by_logit, out=w3)
        for by_output, bias in ((front, b1), (behind, b2), (by_logit, b3)):
            np.matmul(self.ones, by_output, out=bias)
        return gradient

    def _gram(
        self, first: np.ndarray, second: np.ndarray, front: np.ndarray, behind: np.ndarray, by_logit: np.ndarray
    ) -> np.ndarray:
        """Return sum_{x,x'} (input(x) . input(x') + 1) d(x) . d'(x') of all layers, [run, term, term].

        The 1 is the biases', whose sums over x are taken first where pushes that cancel there may be all that is left;
        in the first layer, whose inputs are one-hot, the weights' part is never smaller.
        """
        terms, width = front.shape[1], self.width
        total, part = self._room("total", terms, terms), self._room("part", terms, terms)
        sums = self._room("sums", terms, width + self.responses)
        np.matmul(self.ones, behind, out=sums[..., None, :width])
        np.matmul(self.ones, by_logit, out=sums[..., None, width:])
        np.vecdot(sums[:, :, None], sums[:, None], out=total)
        products = [(self.one_hot, front)]
        for name, inputs, by_output in (("first", first, behind), ("second", second, by_logit)):
            # NumPy sees where a matrix is multiplied with itself, and takes a slower way for it.
            twin = self._room(f"{name} twin", self.prompts, width)
            np.copyto(twin, inputs)
            kernel = np.matmul(inputs, twin.mT, out=self._room(f"{name} kernel", self.prompts, self.prompts))
            products.append((kernel[:, None], by_output))
        rows = (self.runs, terms, -1)
        for kernel, by_output in products:
            weighted = np.matmul(kernel, by_output, out=self._room("weighted", *by_output.shape[1:]))
            np.matmul(weighted.reshape(rows), by_output.reshape(rows).mT, out=part)
            total += part
        return total

    def _room(self, name: str, *shape: int) -> np.ndarray:
        """Return where to write, [run, *shape]; the same memory for a name and a shape."""
        key = (name, shape)
        if key not in self._kept:
            self._kept[key] = np.empty((self.runs, *shape), self.dtype)
        return self._kept[key]
