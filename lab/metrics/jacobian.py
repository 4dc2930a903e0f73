"""The gradient of one term in each space: A = ∂L/∂log π carried through the softmax, without loss by cancellation.

Numbers are the rows of `lab.metrics.folded`: responses that pairs name, and the others folded into one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr

# A squared length below which entries may have been lost to underflow; it is then worked out in logs.
SAFE = 1e-250


@dataclass(frozen=True)
class Scatter:
    """Where the pairs' responses of each term stand on the named rows.

    Args:
        shape: Rows and prompts.
        places: For each term row · prompts + prompt, each once and in order.
        order: For each term the pairs in the order of their places.
        starts: For each term where the pairs of each place begin.
    """

    shape: tuple[int, int]
    places: list[np.ndarray]
    order: list[np.ndarray]
    starts: list[np.ndarray]

    @classmethod
    def of(cls, ds: xr.Dataset, named: np.ndarray) -> Scatter:
        """Find them in a record, given the responses of each prompt that pairs name, [row, prompt]."""
        prompt, found = ds["pair_prompt"].values, []
        for which in ("chosen", "rejected"):
            place = (named[:, prompt] == ds[which].values).argmax(0) * named.shape[1] + prompt
            order = np.argsort(place, kind="stable")
            found.append((order, *np.unique(place[order], return_index=True)))
        orders, places, starts = (list(each) for each in zip(*found, strict=True))
        return cls((named.shape[0], named.shape[1]), places, orders, starts)

    @cached_property
    def single(self) -> bool:
        """Return whether no prompt has two responses of one term."""
        return all(len(np.unique(places % self.shape[1])) == len(places) for places in self.places)

    def sums(self, weight: np.ndarray, term: int) -> np.ndarray:
        """Add up the weights [pair, s, r] of a term at its places, [place, s, r]."""
        mine = weight[self.order[term]]  # a copy
        return mine if len(self.starts[term]) == len(mine) else np.add.reduceat(mine, self.starts[term], axis=0)


@dataclass(frozen=True)
class TermGradients:
    """The gradients of both terms at a block of steps and runs.

    Args:
        log_prob: log π of the named responses, and of the others together, [row, prompt, s, r].
        rest_length: log (Σ π²)^½ of the others, [prompt, s, r].
        weight: The pairs' weights w_p ∂ℓ_p/∂log π, [term, pair, s, r].
        scatter: Where they stand.
    """

    log_prob: np.ndarray
    rest_length: np.ndarray
    weight: np.ndarray
    scatter: Scatter

    @cached_property
    def by_log_prob(self) -> np.ndarray:
        """Return A = ∂L/∂log π of each term on the named rows, [row - 1, prompt, term, s, r]."""
        rows, prompts = self.scatter.shape
        table = np.zeros((rows * prompts, *self.weight[:, 0].shape))
        for term, weight in enumerate(self.weight):
            table[self.scatter.places[term], term] = self.scatter.sums(weight, term)
        return table.reshape(rows, prompts, *table.shape[1:])

    def entries(self, space: str) -> tuple[np.ndarray, np.ndarray]:
        """Compute the gradients' entries in a space, as scaled · exp(scale).

        log_probability A; probability A / π; logit A (1 - π) - π Σ_{z≠y} A_z

        Args:
            space: "log_probability", "probability" or "logit".

        Returns:
            scaled, [row or row - 1, prompt, term, s, r], and scale, [term, s, r], which keeps the largest entries near
            1, so that no square over- or underflows.

        Source: chain rule through the softmax, own derivation; tests/test_metrics.py.
        """
        top = np.abs(self.by_log_prob).max((0, 1))
        scaled, scale = self.by_log_prob / np.where(top == 0, 1, top), np.log(top)
        if space == "log_probability":
            return scaled, scale
        if space == "probability":
            inverse = np.where(self.by_log_prob == 0, -np.inf, -self.log_prob[:-1, :, None])
            largest = _finite(inverse.max((0, 1)))
            scaled *= _exp(inverse - largest)
            scale = scale + largest
        else:
            scaled = _through_softmax(scaled, np.exp(self.log_prob), np.exp(self.rest_length))
        lost = ((dot(scaled, scaled) < SAFE) & (top > 0)).any(0)
        if lost.any():
            scaled[..., lost], scale[..., lost] = self._in_logs(space, lost)
        return scaled, scale

    def log_norm(self, space: str) -> np.ndarray:
        """Compute the log of each gradient's length in a space, [term, s, r]; -inf where there is none."""
        if space == "logit" and self.scatter.single:
            return self._single_log_norm()
        scaled, scale = self.entries(space)
        return scale + 0.5 * np.log(dot(scaled, scaled))

    def cosine(self, space: str) -> np.ndarray:
        """Compute the cosine between the two gradients in a space, [s, r]; NaN where one is 0."""
        scaled, _ = self.entries(space)
        unit = scaled / np.sqrt(dot(scaled, scaled))
        return np.clip(dot(unit[:, :, 0], unit[:, :, 1]), -1, 1)

    def _single_log_norm(self) -> np.ndarray:
        """Compute the log length in the logits where a prompt has one response c of a term: there it is A (e_c - π)."""
        lengths = squared_lengths(self.log_prob, self.rest_length)
        lengths = lengths.reshape(-1, *lengths.shape[2:])
        out, lost = np.empty((len(self.weight), *lengths.shape[1:])), np.zeros(lengths.shape[1:], bool)
        for term, weight in enumerate(self.weight):
            size = self.scatter.sums(weight, term)
            top = np.abs(size, out=size).max(0)
            size /= np.where(top == 0, 1, top)
            size *= size
            size *= lengths[self.scatter.places[term]]
            total = size.sum(0)
            out[term] = np.log(top) + 0.5 * np.log(total)
            lost |= (total < SAFE) & (top > 0)
        if lost.any():
            scaled, scale = self._in_logs("logit", lost)
            out[:, lost] = scale + 0.5 * np.log(dot(scaled, scaled))
        return out

    def _in_logs(self, space: str, lost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the entries at some steps and runs [s, r] by their logs, which no underflow can reach.

        Returns:
            scaled, [row, prompt, term, n], and scale, [term, n].
        """
        log_prob, by_log_prob = self.log_prob[..., None, lost], self.by_log_prob[..., lost]
        sign, log_size = np.sign(by_log_prob), np.log(np.abs(by_log_prob))
        if space == "probability":
            size = log_size - np.where(sign == 0, 0, log_prob[:-1])
            scale = _finite(size.max(axis=(0, 1)))
            return sign * _exp(size - scale), scale
        log_length = np.concatenate([log_prob[:-1], self.rest_length[None, ..., None, lost]])
        whole = np.concatenate([by_log_prob, np.zeros_like(by_log_prob[:1])])
        sign, log_size = np.sign(whole), np.log(np.abs(whole))
        others = sum_of_others(whole)
        own, rest = log_size + log_others(log_prob), np.log(np.abs(others)) + log_length
        scale = _finite(np.maximum(own, rest).max(axis=(0, 1)))
        return sign * _exp(own - scale) - np.sign(others) * _exp(rest - scale), scale


def squared_lengths(log_prob: np.ndarray, rest_length: np.ndarray) -> np.ndarray:
    """Compute ‖e_y - π‖² = (1 - π_y)² + Σ_{z≠y} π_z² for every named response y, by which logits answer to log π(y).

    Args:
        log_prob: log π of the named responses, and of the others together, [row, prompt, s, r].
        rest_length: log (Σ π²)^½ of the others, [prompt, s, r].

    Returns:
        [row - 1, prompt, s, r].

    Source: own derivation; tests/test_metrics_gradients.py.
    """
    prob = np.exp(log_prob)
    lengths = sum_of_others(prob)[:-1]
    lengths *= lengths
    prob *= prob
    np.exp(2 * rest_length, out=prob[-1])
    lengths += sum_of_others(prob)[:-1]
    return lengths


def dot(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Sum products over rows and prompts, [row, prompt, ...] to [...]."""
    product = one * other
    return product.reshape(-1, *product.shape[2:]).sum(0)


def log_others(log_prob: np.ndarray) -> np.ndarray:
    """Compute log(1 - π) as the log of the sum of the other probabilities, along the first axis.

    Args:
        log_prob: [response, ...] in nats.

    Returns:
        [response, ...] in nats, to full relative precision even where π is 1 - 1e-300.

    Source: own derivation; tests/test_metrics.py.
    """
    top = np.argmax(log_prob, axis=0)[None]
    largest = np.take_along_axis(log_prob, top, 0)
    scaled = np.exp(log_prob - largest)
    below = log_prob.copy()
    np.put_along_axis(below, top, -np.inf, 0)
    second = _finite(below.max(0, keepdims=True))
    with np.errstate(divide="ignore"):
        # The likeliest response stays in every sum but its own: these differences are at least 1 and do not cancel.
        np.put_along_axis(scaled, top, 0, 0)
        others = np.log(scaled.sum(0, keepdims=True) - scaled + 1) + largest
        np.put_along_axis(others, top, np.log(np.exp(below - second).sum(0, keepdims=True)) + second, 0)
    return others


def _through_softmax(scaled: np.ndarray, prob: np.ndarray, rest_length: np.ndarray) -> np.ndarray:
    """Return A (1 - π) - π Σ_{z≠y} A_z on the named rows, and -(Σ π²)^½ Σ_z A_z on the last."""
    rows = len(scaled)
    out = np.empty((rows + 1, *scaled.shape[1:]))
    np.multiply(scaled, sum_of_others(prob)[:-1, :, None], out=out[:-1])
    others = sum_of_others(scaled)
    np.add(scaled[-1], others[-1], out=out[-1])
    out[-1] *= -rest_length[:, None]
    others *= prob[:-1, :, None]
    out[:-1] -= others
    return out


def sum_of_others(table: np.ndarray) -> np.ndarray:
    """Compute Σ_{z≠y} a_z along the first axis, from both ends: subtracting a_y from the total would cancel."""
    others = np.empty_like(table)
    others[0] = 0
    for row in range(1, len(table)):
        np.add(others[row - 1], table[row - 1], out=others[row])
    behind = table[-1].copy()
    for row in range(len(table) - 2, 0, -1):
        others[row] += behind
        behind += table[row]
    others[:-1][:1] += behind
    return others


def _exp(exponent: np.ndarray) -> np.ndarray:
    """Raise e to exponents of which many are -inf, NumPy's slow case."""
    zero = np.isneginf(exponent)
    return np.where(zero, 0, np.exp(np.where(zero, 0, exponent)))


def _finite(scale: np.ndarray) -> np.ndarray:
    return np.where(np.isneginf(scale), 0, scale)
