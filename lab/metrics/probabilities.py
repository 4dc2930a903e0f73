"""Probabilities, and what is summed over the responses of a prompt: unseen mass, entropy, divergence."""

from __future__ import annotations

import numpy as np
import xarray as xr

from lab.metrics.folded import log_rest, over_runs, table_of_pairs


def label(array: xr.DataArray, name: str, long_name: str, units: str) -> xr.DataArray:
    """Name a quantity, and say what a plot's axis shows."""
    array = array.rename(name)
    array.attrs = {"long_name": long_name, "units": units}
    return array


def exp(array: xr.DataArray) -> xr.DataArray:
    """Raise e to an array, coordinates kept."""
    return xr.apply_ufunc(np.exp, array)


def log(array: xr.DataArray) -> xr.DataArray:
    """Take the natural log of an array, coordinates kept; the log of 0 is -inf and no warning."""
    with np.errstate(divide="ignore"):
        return xr.apply_ufunc(np.log, array)


def prob(ds: xr.Dataset) -> xr.DataArray:
    """Compute the probability of every response.

    π(y|x) = exp log π(y|x)

    Args:
        ds: A record.

    Returns:
        [..., step, prompt, response], unreduced.

    Source: definition; tests/test_metrics.py.
    """
    return label(exp(ds["log_prob"]), "prob", "probability", "1")


def log_ratio(ds: xr.Dataset) -> xr.DataArray:
    """Compute the log-ratio of every response.

    log π(y|x) - log π_ref(y|x)

    Args:
        ds: A record.

    Returns:
        [..., step, prompt, response] in nats, unreduced.

    Source: own definition; tests/test_metrics_gainers.py.
    """
    ratio = (ds["log_prob"] - ds["reference_log_prob"]).transpose(*ds["log_prob"].dims)
    return label(ratio, "log_ratio", "log-ratio", "nats")


def unseen_mask(ds: xr.Dataset) -> xr.DataArray:
    """Mark the responses that no pair of their prompt names.

    Args:
        ds: A record.

    Returns:
        [prompt, response], true where unseen. All responses of a prompt without pairs are unseen. Where runs have data
        of their own, [axes..., prompt, response], and a pair of weight 0 names nothing.

    Source: own definition; tests/test_metrics.py.
    """
    sizes, prompts = (ds.sizes["prompt"], ds.sizes["response"]), ds["pair_prompt"].values
    of_runs = [str(dim) for dim in ds["pair_weight"].dims if dim != "pair"]
    if of_runs:
        counted = ds["pair_weight"].transpose(*of_runs, "pair").values > 0
        named = np.zeros((*counted.shape[:-1], sizes[0] * sizes[1]), bool)
        for which in ("chosen", "rejected"):
            for pair, place in enumerate(prompts * sizes[1] + ds[which].values):
                named[..., place] |= counted[..., pair]
        mask = ~named.reshape(*counted.shape[:-1], *sizes)
        array = xr.DataArray(mask, dims=(*of_runs, "prompt", "response"), coords={dim: ds[dim] for dim in of_runs})
        return label(array, "unseen_mask", "unseen response", "1")
    mask = np.ones(sizes, bool)
    mask[prompts, ds["chosen"].values] = False
    mask[prompts, ds["rejected"].values] = False
    return label(xr.DataArray(mask, dims=("prompt", "response")), "unseen_mask", "unseen response", "1")


def log_unseen_mass(ds: xr.Dataset) -> xr.DataArray:
    """Compute the log of the unseen mass, exact even where the mass is 1e-300.

    log u(x) = logsumexp over unseen y of log π(y|x)

    Args:
        ds: A record.

    Returns:
        [..., step, prompt] in nats, unreduced; -inf for a prompt without unseen responses.

    Source: own derivation from u = 1 - the mass of every response named in a pair; tests/test_metrics.py.
    """
    table = table_of_pairs(ds)
    if table is not None and bool((ds["pair_weight"] > 0).all() or ds["pair_weight"].ndim == 1):
        return label(over_runs(table.log_rest(), ("prompt",), ds), "log_unseen_mass", "log of the unseen mass", "nats")
    if table is None and ds["pair_weight"].ndim == 1:
        return label(log_rest(ds), "log_unseen_mass", "log of the unseen mass", "nats")
    mask = unseen_mask(ds)
    log_prob = ds["log_prob"].where(mask, -np.inf)
    largest = log_prob.max("response")
    largest = largest.where(largest > -np.inf, 0)
    mass = log(exp(log_prob - largest).sum("response")) + largest
    return label(_keep_nan(mass, ds), "log_unseen_mass", "log of the unseen mass", "nats")


def unseen_mass(ds: xr.Dataset) -> xr.DataArray:
    """Compute the mass of the responses that no pair names.

    u(x) = sum over unseen y of π(y|x), the same as 1 - the mass of the named ones but without its cancellation

    Args:
        ds: A record.

    Returns:
        [..., step, prompt], unreduced.

    Source: own definition; tests/test_metrics.py.
    """
    return label(exp(log_unseen_mass(ds)), "unseen_mass", "unseen mass", "1")


def entropy(ds: xr.Dataset) -> xr.DataArray:
    """Compute the entropy of the policy.

    H(x) = -Σ_y π(y|x) log π(y|x), where 0 log 0 = 0

    Args:
        ds: A record.

    Returns:
        [..., step, prompt] in nats, unreduced.

    Source: definition; tests/test_metrics.py.
    """
    return label(-_expectation(ds, ds["log_prob"]), "entropy", "entropy", "nats")


def kl_from_reference(ds: xr.Dataset) -> xr.DataArray:
    """Compute the divergence of the policy from the reference.

    KL(x) = Σ_y π(y|x) (log π(y|x) - log π_ref(y|x))

    Args:
        ds: A record.

    Returns:
        [..., step, prompt] in nats, unreduced.

    Source: Rafailov et al. 2023, section 3; tests/test_metrics.py.
    """
    divergence = _expectation(ds, ds["log_prob"] - ds["reference_log_prob"])
    return label(divergence, "kl_from_reference", "KL from the reference", "nats")


def expected_reward(ds: xr.Dataset) -> xr.DataArray:
    """Compute the true reward that the policy earns.

    Σ_y π(y|x) r(x, y)

    Args:
        ds: A record with a true reward.

    Returns:
        [..., step, prompt] in the unit of the reward, unreduced.

    Raises:
        ValueError: If the record has no true reward.

    Source: Rafailov et al. 2023, section 3; tests/test_rewards.py.
    """
    if "reward" not in ds:
        raise ValueError(
            "the record has no true reward: its problem has none. Run the experiment with truth=normal, or train a "
            "Problem with a reward."
        )
    return label(_expectation(ds, ds["reward"]), "expected_reward", "expected true reward", "1")


def _expectation(ds: xr.Dataset, values: xr.DataArray) -> xr.DataArray:
    probability = exp(ds["log_prob"])
    # A response of probability 0 has log-probability -inf and adds nothing; NaN stays NaN.
    product = (probability * values.where(probability != 0, 0)).sum("response", skipna=False)
    return product.transpose(*(dim for dim in ds["log_prob"].dims if dim != "response"))


def _keep_nan(reduced: xr.DataArray, ds: xr.Dataset) -> xr.DataArray:
    """Put NaN where a run has no numbers, which max and sum skip over."""
    return reduced.where(ds["log_prob"].isel(response=0).notnull())
