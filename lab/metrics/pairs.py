"""What belongs to a pair: the log-probabilities of its two responses, their ratios, rewards and margins."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr

from lab.metrics.folded import runs_last
from lab.metrics.probabilities import exp, label
from lab.trajectory import table_behind

PAIR_COORDS = ("pair_prompt", "chosen", "rejected", "pair_weight")


def at_pairs(table: xr.DataArray, ds: xr.Dataset, which: str) -> xr.DataArray:
    """Pick from [..., prompt, response] the chosen or the rejected response of each pair: [..., pair]."""
    places = {"prompt": "pair_prompt", "response": which}
    picked = table.variable.isel({dim: xr.Variable("pair", ds.variables[name].values) for dim, name in places.items()})
    rest = [dim for dim in table.dims if dim not in places]
    # All coordinates at once: every later assignment would cost more than what small records are asked for.
    coords = {name: each for name, each in table.coords.variables.items() if not set(each.dims) & set(places)}
    coords |= {name: ds.variables[name] for name in PAIR_COORDS}
    return xr.DataArray(picked.transpose(*rest, "pair"), coords=coords)


def pair_reader(ds: xr.Dataset, which: str) -> Callable[[slice, slice], np.ndarray]:
    """Return what gives log π of the pairs' chosen or rejected responses at some steps and runs, [s, pair, r].

    Of a moving table these are computed as they are asked for, so that no array of them all is written.
    """
    table = table_behind(ds.variables["log_prob"]) if "step" in ds.sizes else None
    if table is not None:
        return table.reader(ds.variables["pair_prompt"].values * ds.sizes["response"] + ds.variables[which].values)
    values = runs_last(at_pairs(ds["log_prob"], ds, which).variable, ("pair",), ds)
    return lambda steps, runs: values[steps, :, runs]


def chosen_log_prob(ds: xr.Dataset) -> xr.DataArray:
    """Pick log π(y⁺|x) of each pair: [..., step, pair] in nats. Source: definition; tests/test_metrics.py."""
    return label(at_pairs(ds["log_prob"], ds, "chosen"), "chosen_log_prob", "log π of the chosen response", "nats")


def rejected_log_prob(ds: xr.Dataset) -> xr.DataArray:
    """Pick log π(y⁻|x) of each pair: [..., step, pair] in nats. Source: definition; tests/test_metrics.py."""
    picked = at_pairs(ds["log_prob"], ds, "rejected")
    return label(picked, "rejected_log_prob", "log π of the rejected response", "nats")


def reference_chosen_log_prob(ds: xr.Dataset) -> xr.DataArray:
    """Pick log π_ref(y⁺|x) of each pair: [..., pair] in nats. Source: definition; tests/test_metrics.py."""
    picked = at_pairs(ds["reference_log_prob"], ds, "chosen")
    return label(picked, "reference_chosen_log_prob", "log π_ref of the chosen response", "nats")


def reference_rejected_log_prob(ds: xr.Dataset) -> xr.DataArray:
    """Pick log π_ref(y⁻|x) of each pair: [..., pair] in nats. Source: definition; tests/test_metrics.py."""
    picked = at_pairs(ds["reference_log_prob"], ds, "rejected")
    return label(picked, "reference_rejected_log_prob", "log π_ref of the rejected response", "nats")


def chosen_prob(ds: xr.Dataset) -> xr.DataArray:
    """Compute π(y⁺|x) of each pair: [..., step, pair]. Source: definition; tests/test_metrics.py."""
    return label(exp(chosen_log_prob(ds)), "chosen_prob", "probability of the chosen response", "1")


def rejected_prob(ds: xr.Dataset) -> xr.DataArray:
    """Compute π(y⁻|x) of each pair: [..., step, pair]. Source: definition; tests/test_metrics.py."""
    return label(exp(rejected_log_prob(ds)), "rejected_prob", "probability of the rejected response", "1")


def chosen_log_ratio(ds: xr.Dataset) -> xr.DataArray:
    """Compute the log-ratio of the chosen response.

    log π(y⁺|x) - log π_ref(y⁺|x)

    Args:
        ds: A record.

    Returns:
        [..., step, pair] in nats, unreduced.

    Source: own definition; tests/test_metrics.py.
    """
    ratio = chosen_log_prob(ds) - reference_chosen_log_prob(ds)
    return label(ratio, "chosen_log_ratio", "log-ratio of the chosen response", "nats")


def rejected_log_ratio(ds: xr.Dataset) -> xr.DataArray:
    """Compute the log-ratio of the rejected response.

    log π(y⁻|x) - log π_ref(y⁻|x)

    Args:
        ds: A record.

    Returns:
        [..., step, pair] in nats, unreduced.

    Source: own definition; tests/test_metrics.py.
    """
    ratio = rejected_log_prob(ds) - reference_rejected_log_prob(ds)
    return label(ratio, "rejected_log_ratio", "log-ratio of the rejected response", "nats")


def log_ratio_margin(ds: xr.Dataset) -> xr.DataArray:
    """Compute the margin without β.

    (log π(y⁺) - log π_ref(y⁺)) - (log π(y⁻) - log π_ref(y⁻))

    Args:
        ds: A record.

    Returns:
        [..., step, pair] in nats, unreduced.

    Source: own definition; tests/test_metrics.py.
    """
    return label(chosen_log_ratio(ds) - rejected_log_ratio(ds), "log_ratio_margin", "log-ratio margin", "nats")


def chosen_implicit_reward(ds: xr.Dataset) -> xr.DataArray:
    """Compute the implicit reward of the chosen response.

    r̂(y⁺) = β⁺ (log π(y⁺) - log π_ref(y⁺))

    Args:
        ds: A record.

    Returns:
        [..., step, pair] in nats, unreduced; NaN for an objective without β.

    Source: Rafailov et al. 2023, equation 7 without its partition term; tests/test_metrics.py.
    """
    reward = chosen_log_ratio(ds) * ds["beta_chosen"]
    return label(reward, "chosen_implicit_reward", "implicit reward of the chosen response", "nats")


def rejected_implicit_reward(ds: xr.Dataset) -> xr.DataArray:
    """Compute the implicit reward of the rejected response.

    r̂(y⁻) = β⁻ (log π(y⁻) - log π_ref(y⁻))

    Args:
        ds: A record.

    Returns:
        [..., step, pair] in nats, unreduced; NaN for an objective without β.

    Source: Rafailov et al. 2023, equation 7 without its partition term; tests/test_metrics.py.
    """
    reward = rejected_log_ratio(ds) * ds["beta_rejected"]
    return label(reward, "rejected_implicit_reward", "implicit reward of the rejected response", "nats")


def margin(ds: xr.Dataset) -> xr.DataArray:
    """Compute the margin, the chosen minus the rejected implicit reward.

    m = β⁺ (log π(y⁺) - log π_ref(y⁺)) - β⁻ (log π(y⁻) - log π_ref(y⁻))

    Args:
        ds: A record.

    Returns:
        [..., step, pair] in nats, unreduced; NaN for an objective without β.

    Source: Rafailov et al. 2023, equation 7; with two β, Yan et al. 2024, Flex-DPO; tests/test_metrics.py.
    """
    return label(chosen_implicit_reward(ds) - rejected_implicit_reward(ds), "margin", "margin", "nats")


def over_pairs(array: xr.DataArray, ds: xr.Dataset) -> xr.DataArray:
    """Average over the pairs by their weights.

    Σ_p w_p a_p / Σ_p w_p; a pair of weight 0 does not count, whatever its value

    Args:
        array: [..., pair].
        ds: The record that holds the weights.

    Returns:
        [...], in the units of the array.

    Source: definition of the total objective; tests/test_metrics.py.
    """
    weight = ds["pair_weight"].drop_vars(list(ds["pair_weight"].coords), errors="ignore")
    if weight.ndim == 1:
        counted = np.flatnonzero(weight.values > 0)
        array, weight = array.isel(pair=counted), weight.isel(pair=counted)
        product = array * weight
    else:
        product = (array * weight).where(weight > 0, 0)
    mean = product.sum("pair", skipna=False) / weight.sum("pair")
    mean = mean.transpose(*(dim for dim in array.dims if dim != "pair"), ...)
    mean.attrs = dict(array.attrs)
    return mean


def over_prompts(array: xr.DataArray, ds: xr.Dataset) -> xr.DataArray:
    """Average over the prompts that have pairs; the others are never trained on.

    Args:
        array: [..., prompt].
        ds: The record that holds the pairs.

    Returns:
        [...], in the units of the array.

    Source: own definition; tests/test_metrics.py.
    """
    mean = array.isel(prompt=np.unique(ds["pair_prompt"].values)).mean("prompt", skipna=False)
    mean.attrs = dict(array.attrs)
    return mean


def total_loss(ds: xr.Dataset) -> xr.DataArray:
    """Compute the loss that training descends.

    L = Σ_p w_p loss_p

    Args:
        ds: A record.

    Returns:
        [..., step].

    Source: own definition; tests/test_metrics.py.
    """
    return label(over_pairs(ds["loss"], ds), "total_loss", "loss", "nats")


def accuracy(ds: xr.Dataset) -> xr.DataArray:
    """Compute the share of the pair weight that is ordered rightly.

    Σ_p w_p [margin_p > 0]

    Args:
        ds: A record.

    Returns:
        [..., step]; NaN for an objective without β.

    Source: implicit-reward accuracy as in Rafailov et al. 2023; tests/test_metrics.py.
    """
    margins = margin(ds)
    return label(over_pairs((margins > 0).where(margins.notnull()), ds), "accuracy", "accuracy", "1")
