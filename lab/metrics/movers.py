"""Who moves a response: the changes along a training, by the prompt and the term that made them."""

from __future__ import annotations

import numpy as np
import xarray as xr

from lab.metrics.kinds import KINDS, response_kind
from lab.metrics.probabilities import exp, label

MOVERS = ("own chosen", "own rejected", "others' chosen", "others' rejected")
MEMBERS = ("chosen", "rejected")


def moved_by(ds: xr.Dataset, term_change: xr.DataArray, *, member: str = "chosen") -> xr.DataArray:
    """Sum what each kind of term did to a response of each pair.

    Σ of term_change over the terms of a kind, at the pair's own response; a term is a prompt's own if its pair stands
    on the same prompt, and another's if not

    Args:
        ds: A record.
        term_change: Changes of log π by each term of each pair [..., step, term, pair, prompt, response] in nats, by
            `lab.experiments.attribution.attribute`.
        member: Whose change is asked for: the pair's "chosen" or "rejected" response.

    Returns:
        [..., step, pair, mover] in nats; the movers, in the order of MOVERS, sum to the whole first-order change.

    Raises:
        ValueError: If the member is another word, or the changes belong to other pairs or steps.

    Source: own definition; tests/test_metrics_movers.py.
    """
    if member not in MEMBERS:
        raise ValueError(f"member is '{member}'; allowed are {', '.join(MEMBERS)}")
    _check(ds, term_change)
    prompts = ds["pair_prompt"].values
    moved = term_change.rename(pair="by").isel(
        prompt=xr.DataArray(prompts, dims="pair"), response=xr.DataArray(ds[member].values, dims="pair")
    )
    own = xr.DataArray(prompts[:, None] == prompts, dims=("by", "pair"))
    found = _by_mover(moved, own, "by")
    pairs = {name: ds[name] for name in ("pair_prompt", "chosen", "rejected", "pair_weight")}
    found = found.assign_coords(pairs).transpose(..., "pair", "mover")
    return label(found, "moved_by", f"change of the {member} log-probability", "nats")


def mass_moved(ds: xr.Dataset, term_change: xr.DataArray) -> xr.DataArray:
    """Sum the probability that each kind of term moved into the responses of each kind.

    Σ of π · term_change over the terms of one kind and the responses y of another, with π the mean of the recorded
    states at both ends of a change

    Args:
        ds: A record.
        term_change: As for `moved_by`.

    Returns:
        [..., step, prompt, mover, kind] in probability; the kinds of a mover sum to 0 for small changes, the movers of
        a kind to its change of mass.

    Raises:
        ValueError: If the changes belong to other pairs or steps.

    Source: own definition, dπ = π dlog π; tests/test_metrics_movers.py.
    """
    _check(ds, term_change)
    prob = exp(ds["log_prob"])
    starts = prob["step"].values[:-1]
    mean = (prob.isel(step=slice(None, -1)) + prob.isel(step=slice(1, None)).assign_coords(step=starts)) / 2
    kind = response_kind(ds)
    own = xr.DataArray(ds["pair_prompt"].values[:, None] == np.arange(ds.sizes["prompt"]), dims=("pair", "prompt"))
    into = []
    for word in KINDS:
        moved = (term_change * mean.where(kind == word, 0)).sum("response", skipna=False)
        into.append(_by_mover(moved, own, "pair"))
    found = xr.concat(into, "kind").assign_coords(kind=list(KINDS)).transpose(..., "prompt", "mover", "kind")
    return label(found, "mass_moved", "moved mass", "1")


def _by_mover(moved: xr.DataArray, own: xr.DataArray, over: str) -> xr.DataArray:
    """Sum over the terms of each mover, [..., term, over] to [..., mover]."""
    parts = [
        moved.sel(term=term, drop=True).where(where, 0).sum(over, skipna=False)
        for where in (own, ~own)
        for term in MEMBERS
    ]
    return xr.concat(parts, "mover").assign_coords(mover=list(MOVERS))


def _check(ds: xr.Dataset, term_change: xr.DataArray) -> None:
    if term_change.sizes["pair"] != ds.sizes["pair"]:
        raise ValueError(
            f"the changes are of {term_change.sizes['pair']} pairs and the record has {ds.sizes['pair']}; take both "
            "from one experiment line"
        )
    if not np.array_equal(term_change["step"].values, ds["step"].values[:-1]):
        raise ValueError(
            f"the changes start from {term_change.sizes['step']} steps and the record has {ds.sizes['step']}; each is "
            "to start from a recorded step but the last: take both from one experiment line"
        )
