"""What a response is to a prompt: named by its pairs, named only by pairs of other prompts, or by none."""

from __future__ import annotations

import numpy as np
import xarray as xr

from lab.metrics.probabilities import exp, label

KINDS = ("chosen", "rejected", "chosen elsewhere", "rejected elsewhere", "never named")


def response_kind(ds: xr.Dataset) -> xr.DataArray:
    """Say what each response is to each prompt.

    A pair of the prompt itself counts before those of other prompts, and chosen before rejected: a response that is
    named both ways is chosen.

    Args:
        ds: A record.

    Returns:
        [prompt, response], one of the words of KINDS. The last three are the unseen responses.

    Source: own definition; tests/test_metrics_kinds.py.
    """
    prompts = ds["pair_prompt"].values
    named = np.zeros((2, ds.sizes["prompt"], ds.sizes["response"]), bool)
    for which, table in zip(("chosen", "rejected"), named, strict=True):
        table[prompts, ds[which].values] = True
    anywhere = np.broadcast_to(named.any(1, keepdims=True), named.shape)
    words = np.select([*named, *anywhere], KINDS[:-1], KINDS[-1])
    return label(xr.DataArray(words, dims=("prompt", "response")), "response_kind", "kind of response", "1")


def mass_by_kind(ds: xr.Dataset) -> xr.DataArray:
    """Sum the probability of the responses of each kind.

    Σ over responses y of the kind of π(y|x)

    Args:
        ds: A record.

    Returns:
        [..., step, prompt, kind]; the kinds of a prompt sum to 1.

    Source: own definition; tests/test_metrics_kinds.py.
    """
    kind = response_kind(ds)
    prob = exp(ds["log_prob"])
    masses = [prob.where(kind == word, 0).where(prob.notnull()).sum("response", skipna=False) for word in KINDS]
    mass = xr.concat(masses, "kind").assign_coords(kind=list(KINDS)).transpose(..., "prompt", "kind")
    return label(mass, "mass_by_kind", "probability", "1")
