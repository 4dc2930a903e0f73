"""How good the responses of a policy are: win rates against other responses, at any sampling temperature."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from lab.metrics.probabilities import exp, label


def tempered(log_prob: xr.DataArray, temperatures: Sequence[float]) -> xr.DataArray:
    """Compute the policy that is sampled at each temperature.

    log π_T(y|x) = log π(y|x) / T - log Σ_z π(z|x)^(1/T); at T = 0 all mass is on the likeliest response

    Args:
        log_prob: [..., response] in nats.
        temperatures: T, each at least 0.

    Returns:
        [..., temperature, response] in nats; the likeliest responses share the mass at T = 0.

    Raises:
        ValueError: If a temperature is negative or not finite.

    Source: definition; tests/test_metrics_judging.py.
    """
    values = np.asarray(temperatures, np.float64)
    if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(f"temperatures are {np.asarray(temperatures).tolist()}; give finite numbers of at least 0")
    array = log_prob.transpose(..., "response")
    relative = array.values - array.values.max(-1, keepdims=True)
    columns = []
    for temperature in values:
        # Ties share alike; a limit of small temperatures would ask how small.
        scaled = np.where(relative == 0, 0.0, -np.inf) if temperature == 0 else relative / temperature
        columns.append(scaled - np.log(np.exp(scaled).sum(-1, keepdims=True)))
    dims = (*array.dims[:-1], "temperature", "response")
    coords = {name: coord for name, coord in array.coords.items()}
    found = xr.DataArray(np.stack(columns, -2), dims=dims, coords={**coords, "temperature": values})
    return label(found, "tempered", "log-probability at a temperature", "nats")


def win_rate(log_prob: xr.DataArray, other: xr.DataArray, reward: xr.DataArray) -> xr.DataArray:
    """Compute how often a response of one policy has more true reward than one of another.

    Σ_y π(y|x) Σ_z μ(z|x) ([r(x, y) > r(x, z)] + [r(x, y) = r(x, z)] / 2)

    Args:
        log_prob: log π, [..., prompt, response] in nats.
        other: log μ, such as the reference's, [..., prompt, response] in nats.
        reward: r, [..., prompt, response], such as ds["reward"].

    Returns:
        [..., prompt]; 1/2 for equal policies.

    Source: Rafailov et al. 2023, section 6, with the true reward as the judge; tests/test_metrics_judging.py.
    """
    worse_mass = _mass_below(exp(other), reward)
    rate = (exp(log_prob) * worse_mass).sum("response", skipna=False)
    rate = rate.transpose(*(dim for dim in log_prob.dims if dim != "response"), ...)
    return label(rate, "win_rate", "win rate", "1")


def labelled_win_rate(log_prob: xr.DataArray, other: xr.DataArray, reward: xr.DataArray) -> xr.DataArray:
    """Compute how often labels drawn by the Bradley-Terry law prefer a response of one policy to one of another.

    Σ_y π(y|x) Σ_z μ(z|x) σ(r(x, y) - r(x, z))

    Args:
        log_prob: log π, [..., prompt, response] in nats.
        other: log μ, [..., prompt, response] in nats.
        reward: r, [..., prompt, response].

    Returns:
        [..., prompt]; 1/2 for equal policies.

    Source: Bradley & Terry 1952; tests/test_metrics_judging.py.
    """
    apart = reward - reward.rename(response="_other")
    wins = apart.copy(data=0.5 * (1 + np.tanh(0.5 * apart.values)))
    against = (wins * exp(other).rename(response="_other")).sum("_other", skipna=False)
    rate = (exp(log_prob) * against).sum("response", skipna=False)
    rate = rate.transpose(*(dim for dim in log_prob.dims if dim != "response"), ...)
    return label(rate, "labelled_win_rate", "win rate by drawn labels", "1")


def win_rate_against_chosen(log_prob: xr.DataArray, ds: xr.Dataset) -> xr.DataArray:
    """Compute how often a response of a policy has more true reward than the chosen one of a pair of the prompt.

    Σ_y π(y|x) ([r(x, y) > r(x, y⁺)] + [r(x, y) = r(x, y⁺)] / 2), averaged over the pairs by their weights

    Args:
        log_prob: log π, [..., prompt, response] in nats.
        ds: The record that holds the pairs and the true reward.

    Returns:
        [...]; a policy that always gives the chosen response gets 1/2.

    Raises:
        ValueError: If the record has no true reward.

    Source: Rafailov et al. 2023, section 6, win rate against the preferred completions; tests/test_metrics_judging.py.
    """
    if "reward" not in ds:
        raise ValueError("the record has no true reward to judge by; run the experiment with truth=normal")
    weight = ds["pair_weight"].drop_vars([str(name) for name in ds["pair_weight"].coords if name != "pair"])
    prompts, chosen = ds["pair_prompt"].values, ds["chosen"].values
    shape = xr.zeros_like(ds["reward"] * weight.sum("pair")).transpose(..., "prompt", "response")
    share = np.zeros(shape.shape)
    runs = shape.isel(prompt=0, response=0, drop=True)
    rows = weight.broadcast_like(runs).transpose(*runs.dims, "pair").values
    for pair, place in enumerate(zip(prompts, chosen, strict=True)):
        share[(..., *place)] += rows[..., pair]
    with np.errstate(divide="ignore"):
        of_prompt = share.sum(-1, keepdims=True)
        other = shape.copy(data=np.log(np.where(of_prompt > 0, share / np.where(of_prompt > 0, of_prompt, 1), 0)))
    rate = win_rate(log_prob, other, ds["reward"])
    by_prompt = shape.isel(response=0, drop=True).copy(data=of_prompt[..., 0])
    mean = (rate * by_prompt).sum("prompt", skipna=False) / by_prompt.sum("prompt")
    mean = mean.transpose(*(dim for dim in rate.dims if dim != "prompt"))
    return label(mean, "win_rate_against_chosen", "win rate against the chosen response", "1")


def _mass_below(prob: xr.DataArray, reward: xr.DataArray) -> xr.DataArray:
    """Sum for each response the mass of the worse ones and half that of the equal ones, itself included."""
    there = reward.rename(response="_other")
    above = xr.where(reward > there, 1.0, xr.where(reward == there, 0.5, 0.0))
    mass = prob.rename(response="_other")
    return (above * mass).sum("_other", skipna=False)
