"""What a response is to a prompt: named by its pairs, named only by pairs of other prompts, or by none."""

from __future__ import annotations

import numpy as np
import xarray as xr

from lab.metrics.gainers import mass_gain
from lab.metrics.pairs import over_prompts
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


def gained_share_by_kind(ds: xr.Dataset, *, since: xr.DataArray | None = None) -> xr.DataArray:
    """Compute how the mass that unseen responses gained is shared out among their three kinds.

    max(G_k, 0) / Σ_k max(G_k, 0), with G_k the mass that the responses of kind k gained by the last step, averaged over
    the prompts that have pairs

    Args:
        ds: A record.
        since: Recorded steps from which the gain counts, as in `mass_gain`; the reference if None.

    Returns:
        [..., kind], the last three words of KINDS; they sum to 1. NaN where no kind gained, or `since` is not finite.

    Raises:
        ValueError: If `since` holds a step that is not recorded.

    Source: own definition; tests/test_metrics_kinds.py.
    """
    gain, kind = mass_gain(ds, since=since), response_kind(ds)
    sums = [over_prompts(gain.where(kind == word, 0).sum("response", skipna=False), ds) for word in KINDS[2:]]
    won = xr.concat(sums, "kind").assign_coords(kind=list(KINDS[2:])).clip(min=0)
    total = won.sum("kind", skipna=False)
    share = (won / total.where(total > 0)).transpose(..., "kind")
    return label(share, "gained_share_by_kind", "share of the mass gained by unseen responses", "1")
