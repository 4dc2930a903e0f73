"""The loss gradient of each term in four spaces: norms in log space, cosines, and the gradients of single pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from lab.cores import spread
from lab.metrics.folded import BLOCK, SHARED, Folded
from lab.metrics.jacobian import Scatter, TermGradients
from lab.metrics.pairs import chosen_log_prob, rejected_log_prob
from lab.metrics.probabilities import label, log
from lab.trajectory import find_word

POLICIES = ("tabular", "loglinear", "mlp")
DERIVED_SPACES = ("log_probability", "probability", "logit")


def gradient_log_norm(ds: xr.Dataset, spaces: Sequence[str] | None = None) -> xr.DataArray:
    """Compute the log of the Euclidean norm of each term's gradient of the total loss, in every space.

    With A = ∂L/∂log π, the table [prompt, response] of Σ_p w_p · response_weight_p on the term's responses:
    log_probability A; probability A / π; logit A - π Σ_y A; parameter as recorded. The outputs of a reward model are
    its rewards and pass no softmax: there logit is A too, and π is the softmax of the rewards.

    Args:
        ds: A record.
        spaces: Which spaces; None means all that there are.

    Returns:
        [..., step, space, term], natural log; -inf where a term has no gradient. The space `parameter` is there
        when the record keeps gradients, and for a table (by its experiment line), whose parameters are its logits.

    Raises:
        ValueError: If a space is not there.

    Source: chain rule through the softmax, own derivation; tests/test_metrics.py.
    """
    array = _measure(ds, spaces, TermGradients.log_norm, ("term",), "parameter_log_norm").assign_coords(term=ds["term"])
    return label(array, "gradient_log_norm", "log norm of the gradient", "natural log")


def gradient_cosine(ds: xr.Dataset, spaces: Sequence[str] | None = None) -> xr.DataArray:
    """Compute the cosine between the gradients of the chosen and of the rejected term, in every space.

    ⟨G⁺, G⁻⟩ / (‖G⁺‖ ‖G⁻‖) over all prompts and responses jointly; at -1 the two terms pull exactly apart

    Args:
        ds: A record.
        spaces: Which spaces; None means all that there are.

    Returns:
        [..., step, space]; NaN where a term has no gradient.

    Raises:
        ValueError: If a space is not there.

    Source: own definition; tests/test_metrics.py.
    """
    array = _measure(ds, spaces, TermGradients.cosine, (), "parameter_cosine")
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
    weight = ds["response_weight"]
    magnitude = xr.DataArray(np.empty_like(weight.values), dims=weight.dims)  # in memory as it is
    parts = list(zip(("chosen", "rejected"), (chosen_log_prob(ds), rejected_log_prob(ds)), strict=True))
    steps = weight.sizes.get("step", 1)
    size = max(1, BLOCK * steps // max(1, weight.size))

    def work(first: int, check: Callable[[], None]) -> None:
        check()
        rows = {"step": slice(first, first + size)} if "step" in weight.dims else {}
        for term, log_prob in parts:
            into = magnitude.isel(rows).isel(term=int(term == "rejected"))
            values = into.values
            np.abs(weight.isel(rows).isel(term=int(term == "rejected")).values, out=values)
            with np.errstate(divide="ignore"):
                np.log(values, out=values)
            values -= log_prob.isel(rows).transpose(*into.dims).values

    spread(work, range(0, steps, size), 1 if weight.size < SHARED else None)
    magnitude = magnitude.assign_coords({**parts[0][1].coords, "term": ds["term"]})
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


def _measure(
    ds: xr.Dataset,
    spaces: Sequence[str] | None,
    measure: Callable[[TermGradients, str], np.ndarray],
    last: tuple[str, ...],
    recorded: str,
) -> xr.DataArray:
    """Measure the gradients of both terms in some spaces, [..., step, space, *last]."""
    spaces = _known(ds, spaces, recorded)
    fold, weight = Folded.of(ds), ds["response_weight"]
    each = ds["pair_weight"]
    if each.ndim > 1:  # of every run
        weight, each = weight * each, xr.ones_like(each[(0,) * (each.ndim - 1)])
    weights = weight.transpose("term", "pair", *fold.dims).values.reshape(2, -1, *fold.lanes)
    scatter = Scatter.of(ds, fold.named)
    out = np.empty((len(spaces), *(ds.sizes[dim] for dim in last), *fold.lanes))
    # A table's parameters are its logits, which is why a record of one does not repeat them; and what a reward model
    # puts out is no logit of a softmax, it is the reward.
    logit = "log_probability" if "score" in ds else "logit"
    policy = find_word(ds, "policy", POLICIES)
    tables = policy is not None and policy == "tabular"
    needed = [space for space in spaces if space != "parameter" or recorded not in ds or np.any(tables)]

    def work(steps: slice, runs: slice) -> None:
        mine = weights[..., steps, runs] * each.values[:, None, None]
        gradients, found = TermGradients(*fold.at(steps, runs), mine, scatter), {}
        for space in needed:
            as_in = {"logit": logit, "parameter": logit}.get(space, space)
            if as_in not in found:
                found[as_in] = measure(gradients, as_in)
            out[spaces.index(space), ..., steps, runs] = found[as_in]

    fold.in_blocks(work)
    leading = [dim for dim in ds["log_prob"].dims if dim not in ("prompt", "response")]
    array = xr.DataArray(out.reshape(*out.shape[:-2], *fold.shape), dims=("space", *last, *fold.dims))
    array = array.assign_coords({dim: ds[dim] for dim in leading if dim in ds.coords} | {"space": list(spaces)})
    if "parameter" in spaces and recorded in ds:
        kept, here = ds[recorded].drop_vars("term", errors="ignore"), array.sel(space="parameter", drop=True)
        if np.any(tables):
            kept = kept.where(~tables, here)
        here[...] = kept.transpose(*here.dims)
    return array.transpose(*leading, "space", *last)


def _known(ds: xr.Dataset, spaces: Sequence[str] | None, recorded: str) -> tuple[str, ...]:
    policy = find_word(ds, "policy", POLICIES)
    has_parameter = recorded in ds or (policy is not None and bool((policy == "tabular").any()))
    there = (*DERIVED_SPACES, *(("parameter",) if has_parameter else ()))
    spaces = there if spaces is None else (spaces,) if isinstance(spaces, str) else tuple(spaces)
    unknown = [space for space in spaces if space not in there]
    if unknown or not spaces:
        raise ValueError(
            f"spaces are {', '.join(map(repr, spaces)) or 'none'}; this record has {', '.join(there)}: choose of these"
        )
    return spaces
