"""The loss gradient of each term in four spaces: norms in log space, cosines, and the gradients of single pairs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr

from lab.metrics.pairs import chosen_log_prob, rejected_log_prob
from lab.metrics.probabilities import label, log
from lab.trajectory import find_word

POLICIES = ("tabular", "loglinear", "mlp")
# Entries of a table [response, prompt, run · step] that are worked on at once.
BLOCK = 20_000
DERIVED_SPACES = ("log_probability", "probability", "logit")


def gradient_log_norm(ds: xr.Dataset) -> xr.DataArray:
    """Compute the log of the Euclidean norm of each term's gradient of the total loss, in every space.

    With A = ∂L/∂log π, the table [prompt, response] of Σ_p w_p · response_weight_p on the term's responses:
    log_probability A; probability A / π; logit A - π Σ_y A; parameter as recorded. The outputs of a reward model are
    its rewards and pass no softmax: there logit is A too, and π is the softmax of the rewards.

    Args:
        ds: A record.

    Returns:
        [..., step, space, term], natural log; -inf where a term has no gradient. The space `parameter` is there
        when the record keeps gradients, and for a table (by its experiment line), whose parameters are its logits.

    Source: chain rule through the softmax, own derivation; tests/test_metrics.py.
    """
    array = _stack(ds, _reduce(ds, _log_norm), ("term",), "parameter_log_norm").assign_coords(term=ds["term"])
    return label(array, "gradient_log_norm", "log norm of the gradient", "natural log")


def gradient_cosine(ds: xr.Dataset) -> xr.DataArray:
    """Compute the cosine between the gradients of the chosen and of the rejected term, in every space.

    ⟨G⁺, G⁻⟩ / (‖G⁺‖ ‖G⁻‖) over all prompts and responses jointly; at -1 the two terms pull exactly apart

    Args:
        ds: A record.

    Returns:
        [..., step, space]; NaN where a term has no gradient.

    Source: own definition; tests/test_metrics.py.
    """
    array = _stack(ds, _reduce(ds, _cosine), (), "parameter_cosine")
    return label(array, "gradient_cosine", "cosine of the two gradients", "1")


def pair_gradient_log_magnitude(ds: xr.Dataset) -> xr.DataArray:
    """Compute the log magnitude of a pair's gradient in the probability of its two responses.

    log |∂ℓ/∂π| = log |response_weight| - log π, without the pair's weight

    Args:
        ds: A record.

    Returns:
        [..., step, term, pair], natural log, unreduced; -inf where the gradient is 0.

    Source: own derivation, and Yan et al. 2024, section 3; tests/test_metrics.py.
    """
    log_prob = xr.concat([chosen_log_prob(ds), rejected_log_prob(ds)], "term").assign_coords(term=ds["term"])
    magnitude = log(abs(ds["response_weight"])) - log_prob
    return label(magnitude, "pair_gradient_log_magnitude", "log |∂ℓ/∂π|", "natural log")


def log_gradient_ratio(ds: xr.Dataset) -> xr.DataArray:
    """Compute the log ratio of a pair's rejected to its chosen gradient in probability space.

    log |∂ℓ/∂π⁻| - log |∂ℓ/∂π⁺|; for DPO this is log π⁺ - log π⁻

    Args:
        ds: A record.

    Returns:
        [..., step, pair], natural log, unreduced; NaN where both gradients are 0.

    Source: Yan et al. 2024, corollary 1; tests/test_metrics.py.
    """
    log_weight = log(abs(ds["response_weight"]))
    # A difference of equal logs is exactly 0, so that DPO's ratio carries no rounding of its own.
    with np.errstate(invalid="ignore"):
        ratio = log_weight.sel(term="rejected", drop=True) - log_weight.sel(term="chosen", drop=True)
        ratio = ratio + (chosen_log_prob(ds) - rejected_log_prob(ds))
    return label(ratio, "log_gradient_ratio", "log |∂ℓ/∂π⁻| - log |∂ℓ/∂π⁺|", "natural log")


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


def _reduce(ds: xr.Dataset, measure: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> list[np.ndarray]:
    """Measure the gradients of every derived space, [..., run · step] each.

    Runs and steps come last in memory, in blocks that fit the cache: NumPy's reductions over a short last axis take
    several times as long, and so do large temporary arrays, whose memory the system hands out page by page.
    """
    # A transpose alone would leave the old order in memory.
    log_prob = np.ascontiguousarray(ds["log_prob"].transpose("response", "prompt", *_lanes(ds)).values, np.float64)
    log_prob = log_prob.reshape(*log_prob.shape[:2], 1, -1)
    named, rest = _named_and_rest(ds)
    table = _scatter(ds, named)
    width = max(1, BLOCK // (log_prob.shape[0] * log_prob.shape[1]))
    blocks = [
        [
            measure(*gradient)
            for gradient in _gradients(*_fold(log_prob[..., i : i + width], named, rest), table[..., i : i + width])
        ]
        for i in range(0, log_prob.shape[-1], width)
    ]
    rows = [np.concatenate(parts, axis=-1) for parts in zip(*blocks, strict=True)]
    if "score" in ds:  # what a reward model puts out is no logit of a softmax, it is the reward
        rows[DERIVED_SPACES.index("logit")] = rows[DERIVED_SPACES.index("log_probability")]
    return rows


def _named_and_rest(ds: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """List the responses of each prompt that pairs name, and the others, [row, prompt] each; -1 fills up."""
    mask = np.zeros((ds.sizes["prompt"], ds.sizes["response"]), bool)
    for which in ("chosen", "rejected"):
        mask[ds["pair_prompt"].values, ds[which].values] = True
    lists = []
    for kept in (mask, ~mask):
        rows = np.full((max(1, kept.sum(1).max()), len(kept)), -1)
        prompt, response = np.nonzero(kept)
        rows[np.cumsum(kept, 1)[prompt, response] - 1, prompt] = response
        lists.append(rows)
    return lists[0], lists[1]


def _fold(log_prob: np.ndarray, named: np.ndarray, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fold the responses that no pair names into one row, [row, prompt, 1, run · step] each.

    A gradient in the logits has -π_y Σ_z A_z on each of them, and none elsewhere: of these entries their mass Σ_y π_y
    enters the others', and their length (Σ_y π_y²)^½ the norm and inner products.

    Returns:
        log π of the named responses and then log Σ_y π_y; the same with log (Σ_y π_y²)^½ last.
    """
    kept, folded = (
        np.where(rows[..., None, None] < 0, -np.inf, np.take_along_axis(log_prob, rows[..., None, None], 0))
        for rows in (named, rest)
    )
    peak = _finite(folded.max(0, keepdims=True))
    share = np.exp(folded - peak)
    with np.errstate(divide="ignore"):
        mass = np.log(share.sum(0, keepdims=True)) + peak
        length = 0.5 * np.log((share * share).sum(0, keepdims=True)) + peak
    return np.concatenate([kept, mass]), np.concatenate([kept, length])


def _gradients(
    log_prob: np.ndarray, log_length: np.ndarray, by_log_prob: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each derived space's gradient [row, prompt, term, run · step] = scaled · exp(scale), on the rows of `_fold`.

    A scale per term, run and step keeps the largest entry near 1, so that no square over- or underflows.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        sign, log_size = np.sign(by_log_prob), np.log(np.abs(by_log_prob))
        # Row y of the softmax's Jacobian, without cancellation: A_y (1 - π_y) - π_y Σ_{z≠y} A_z.
        others = _sum_of_others(by_log_prob)
        own, rest = log_size + log_others(log_prob), np.log(np.abs(others)) + log_length
        scale = _finite(np.maximum(own, rest).max(axis=(0, 1)))
        logit = sign * _exp(own - scale) - np.sign(others) * _exp(rest - scale), scale
        gradients = []
        for size in (log_size, log_size - np.where(sign == 0, 0, log_prob)):
            scale = _finite(size.max(axis=(0, 1)))
            gradients.append((sign * _exp(size - scale), scale))
    return [*gradients, logit]


def _scatter(ds: xr.Dataset, named: np.ndarray) -> np.ndarray:
    """The table ∂L/∂log π of each term on the rows of `_fold`, [row, prompt, term, run · step]; equal places add up."""
    weight = (ds["response_weight"] * ds["pair_weight"]).transpose("term", "pair", *_lanes(ds)).values
    weight = weight.reshape(*weight.shape[:2], -1)
    table = np.zeros(((len(named) + 1) * ds.sizes["prompt"], len(weight), weight.shape[-1]))
    for term, which in enumerate(("chosen", "rejected")):
        prompt = ds["pair_prompt"].values
        place = (named[:, prompt] == ds[which].values).argmax(0) * ds.sizes["prompt"] + prompt
        order = np.argsort(place, kind="stable")
        places, starts = np.unique(place[order], return_index=True)
        table[places, term] = np.add.reduceat(weight[term, order], starts, axis=0)
    return table.reshape(-1, ds.sizes["prompt"], *table.shape[1:])


def _leading(ds: xr.Dataset) -> list:
    return [dim for dim in ds["log_prob"].dims if dim not in ("prompt", "response")]


def _lanes(ds: xr.Dataset) -> list:
    """Runs and steps in the order in which they stand in memory, so that they are copied in long pieces."""
    strides = dict(zip(ds["log_prob"].dims, ds["log_prob"].values.strides, strict=True))
    return sorted(_leading(ds), key=lambda dim: -abs(strides[dim]))


def _sum_of_others(table: np.ndarray) -> np.ndarray:
    """Σ_{z≠y} A_z from the left and from the right: subtracting A_y from the total would cancel."""
    others = np.zeros_like(table)
    np.cumsum(table[:-1], axis=0, out=others[1:])
    others[:-1] += np.cumsum(table[:0:-1], axis=0)[::-1]
    return others


def _exp(exponent: np.ndarray) -> np.ndarray:
    """Raise e to exponents of which many are -inf, NumPy's slow case."""
    zero = np.isneginf(exponent)
    return np.where(zero, 0, np.exp(np.where(zero, 0, exponent)))


def _finite(scale: np.ndarray) -> np.ndarray:
    return np.where(np.isneginf(scale), 0, scale)


def _log_norm(scaled: np.ndarray, scale: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return scale + 0.5 * np.log(np.einsum("yx...,yx...->...", scaled, scaled))


def _cosine(scaled: np.ndarray, _: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        unit = scaled / np.sqrt(np.einsum("yx...,yx...->...", scaled, scaled))
    return np.clip(np.einsum("yx...,yx...->...", unit[:, :, 0], unit[:, :, 1]), -1, 1)


def _stack(ds: xr.Dataset, rows: list[np.ndarray], last: tuple[str, ...], recorded: str) -> xr.DataArray:
    """Join the derived spaces' rows, [*last, run · step], and the parameter space's: [..., step, space, *last]."""
    leading, lanes = _leading(ds), _lanes(ds)
    coords = {dim: ds[dim] for dim in leading if dim in ds.coords}
    shape = tuple(ds.sizes[dim] for dim in lanes)
    arrays = [xr.DataArray(row.reshape(*row.shape[:-1], *shape), dims=(*last, *lanes), coords=coords) for row in rows]
    arrays = [array.transpose(*leading, *last) for array in arrays]
    spaces: tuple[str, ...] = DERIVED_SPACES
    parameter = ds[recorded].drop_vars("term", errors="ignore") if recorded in ds else None
    # A table's parameters are its logits, which is why a record of one does not repeat them.
    policy = find_word(ds, "policy", POLICIES)
    if policy is not None and (policy == "tabular").any():
        parameter = arrays[-1] if parameter is None else parameter.where(policy != "tabular", arrays[-1])
    if parameter is not None:
        arrays.append(parameter.transpose(*leading, *last))
        spaces = (*spaces, "parameter")
    stacked = np.stack([array.values for array in arrays], axis=len(leading))
    return xr.DataArray(stacked, dims=(*leading, "space", *last), coords={**coords, "space": list(spaces)})
