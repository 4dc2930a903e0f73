"""How well learned rewards order couples of responses, compared in the data or not, and how sure they are of it."""

from __future__ import annotations

import numpy as np
import xarray as xr

from lab.metrics.probabilities import label, log_ratio

COUPLES = ("compared", "not compared", "new prompts")


def implicit_rewards(ds: xr.Dataset) -> xr.DataArray:
    """Compute the implicit reward of every response.

    r̂(y|x) = β (log π(y|x) - log π_ref(y|x)); for a reward model its scores, up to a constant a prompt

    Args:
        ds: A record.

    Returns:
        [..., step, prompt, response] in nats, unreduced; NaN for an objective without β.

    Raises:
        ValueError: If the chosen and the rejected response have a β of their own: a response then has two rewards.

    Source: Rafailov et al. 2023, equation 7 without its partition term; tests/test_metrics_agreement.py.
    """
    plus, minus = xr.broadcast(ds["beta_chosen"], ds["beta_rejected"])
    if not np.array_equal(plus.values, minus.values, equal_nan=True):
        raise ValueError(
            "the record has one beta for the chosen and another for the rejected response, so that a response has no "
            "one implicit reward; run an objective with one beta"
        )
    reward = (log_ratio(ds) * ds["beta_chosen"]).transpose(*ds["log_prob"].dims)
    return label(reward, "implicit_rewards", "implicit reward", "nats")


def couple_mask(ds: xr.Dataset, which: str) -> xr.DataArray:
    """Mark the couples of two different responses of a prompt that the data say something about, or do not.

    Args:
        ds: A record.
        which: "compared": a pair of weight above 0 holds both; "not compared": none does, and the prompt has data;
            "new prompts": the prompt has no data.

    Returns:
        [prompt, couple], with the axes in front along which the data differ; the couples of V responses are (0, 1),
        (0, 2), ... (V - 2, V - 1).

    Raises:
        ValueError: If `which` is none of the three.

    Source: own definition; tests/test_metrics_agreement.py.
    """
    if which not in COUPLES:
        raise ValueError(f"couples are asked for as '{which}'; allowed are {', '.join(COUPLES)}")
    weight = ds["pair_weight"].transpose(..., "pair")
    axes = [str(dim) for dim in weight.dims if dim != "pair"]
    prompts, responses = ds.sizes["prompt"], ds.sizes["response"]
    there = np.zeros((*(weight.sizes[axis] for axis in axes), prompts, responses, responses), bool)
    places = zip(ds["pair_prompt"].values, ds["chosen"].values, ds["rejected"].values, strict=True)
    for pair, (x, c, r) in enumerate(places):
        there[..., x, min(c, r), max(c, r)] |= weight.values[..., pair] > 0
    compared = there[..., *np.triu_indices(responses, 1)]
    data = compared.any(-1, keepdims=True)
    found = {"compared": compared, "not compared": data & ~compared, "new prompts": ~data & ~compared}[which]
    array = xr.DataArray(found, dims=(*axes, "prompt", "couple"), coords={axis: ds[axis] for axis in axes})
    return label(array, "couple_mask", f"couple: {which}", "1")


def couple_accuracy(ds: xr.Dataset, which: str = "not compared") -> xr.DataArray:
    """Compute the share of couples that the implicit reward orders as the true reward does.

    mean over couples {y, z} of [(r̂(y) - r̂(z)) (r(y) - r(z)) > 0], a half for equal implicit rewards

    Args:
        ds: A record with a true reward.
        which: Which couples, as in `couple_mask`.

    Returns:
        [..., step]; NaN where a run has no such couple, or an objective no β.

    Raises:
        ValueError: If the record has no true reward, and as `couple_mask` and `implicit_rewards`.

    Source: Yan et al. 2024, section 4.4, with the true reward as the judge; tests/test_metrics_agreement.py.
    """
    learned, true = _apart(implicit_rewards(ds)), _apart(_truth(ds))
    right = ((learned * true > 0) + 0.5 * (learned == 0)).where(learned.notnull())
    return label(_mean(right, couple_mask(ds, which), ds), "couple_accuracy", f"accuracy, {which}", "1")


def calibration_error(ds: xr.Dataset, which: str = "not compared") -> xr.DataArray:
    """Compute how far the predicted probability that one response beats the other lies from the true one.

    mean over couples {y, z} of |σ(r̂(y) - r̂(z)) - σ(r(y) - r(z))|, the truth being a Bradley-Terry judge's

    Args:
        ds: A record with a true reward.
        which: Which couples, as in `couple_mask`.

    Returns:
        [..., step]; NaN as for `couple_accuracy`.

    Raises:
        ValueError: As `couple_accuracy`.

    Source: own definition, after Bradley & Terry 1952; tests/test_metrics_agreement.py.
    """
    learned, true = _chance(_apart(implicit_rewards(ds))), _chance(_apart(_truth(ds)))
    off = _mean(abs(learned - true), couple_mask(ds, which), ds)
    return label(off, "calibration_error", f"error of the predicted preference, {which}", "1")


def _truth(ds: xr.Dataset) -> xr.DataArray:
    if "reward" not in ds:
        raise ValueError("the record has no true reward to judge by; run the experiment with truth=normal")
    return ds["reward"]


def _apart(table: xr.DataArray) -> xr.DataArray:
    """Subtract the second from the first response of every couple: [..., prompt, couple]."""
    table = table.drop_vars("response", errors="ignore").transpose(..., "prompt", "response")
    first, second = np.triu_indices(table.sizes["response"], 1)
    values = table.values[..., first] - table.values[..., second]
    coords = {name: coord for name, coord in table.coords.items() if "response" not in coord.dims}
    return xr.DataArray(values, dims=(*table.dims[:-1], "couple"), coords=coords)


def _chance(apart: xr.DataArray) -> xr.DataArray:
    # tanh neither over- nor underflows, whatever the difference.
    return apart.copy(data=0.5 * (1 + np.tanh(0.5 * apart.values)))


def _mean(values: xr.DataArray, mask: xr.DataArray, ds: xr.Dataset) -> xr.DataArray:
    """Average over the marked couples of all prompts; NaN where there are none."""
    total = (values.where(mask, 0) * mask).sum(("prompt", "couple"), skipna=False)
    count = mask.sum(("prompt", "couple"))
    order = [dim for dim in ds["log_prob"].dims if dim not in ("prompt", "response")]
    return (total / count.where(count > 0)).transpose(*order)
