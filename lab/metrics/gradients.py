"""The loss gradient of each term in four spaces: norms in log space, cosines, and the gradients of single pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from lab.metrics.folded import Folded, leading_dims, over_runs, runs_last, with_coords
from lab.metrics.jacobian import Scatter, TermGradients
from lab.metrics.pairs import PAIR_COORDS, chosen_log_prob, pair_reader, rejected_log_prob
from lab.metrics.probabilities import label, log
from lab.trajectory import find_word, in_blocks

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
    array = _measure(ds, spaces, TermGradients.log_norm, ("term",), "parameter_log_norm")
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
    weight = runs_last(ds.variables["response_weight"], ("term", "pair"), ds)
    read = [pair_reader(ds, which) for which in ("chosen", "rejected")]
    out = np.empty(weight.shape)

    def work(steps: slice, runs: slice) -> None:
        for term, log_prob in enumerate(read):
            into = out[steps, term, :, runs]
            np.log(np.abs(weight[steps, term, :, runs], out=into), out=into)
            into -= log_prob(steps, runs)

    steps, _, pairs, runs = weight.shape
    in_blocks(work, steps, runs, 5 * pairs)
    magnitude = over_runs(out, ("term", "pair"), ds, "term", *PAIR_COORDS)
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
    fold, weight, each = Folded.of(ds), ds.variables["response_weight"], ds.variables["pair_weight"]
    if each.ndim > 1:  # of every run
        weight, each = weight * each, xr.Variable("pair", np.ones(ds.sizes["pair"]))
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
    variable = xr.Variable(("space", *last, *fold.dims), out.reshape(*out.shape[:-2], *fold.shape))
    if "parameter" in spaces and recorded in ds:
        kept, here = ds.variables[recorded], variable[{"space": spaces.index("parameter")}]
        if np.any(tables):
            kept = ds[recorded].where(~tables, xr.DataArray(here)).variable
        here[...] = kept.transpose(*here.dims)
    return with_coords(variable.transpose(*leading_dims(ds), "space", *last), ds, *last, spaces=spaces)


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
