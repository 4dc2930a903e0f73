"""Finished policies ranked by judges that are not always right: those that err at random, and those that err alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lab import metrics

if TYPE_CHECKING:
    import xarray as xr

JUDGES = 20  # of each seed


def line_up(records: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """Line up the last policies of several records of one world, and its reference.

    Args:
        records: By any name; each with `seed` and no other axis, or beta.

    Returns:
        `log_prob` [seed, method, prompt, response] with the world's `reference_log_prob` and `reward`; the reference is
        the last method.
    """
    import xarray as xr

    world = next(iter(records.values()))[["reference_log_prob", "reward"]]
    world = world.isel(beta=0, drop=True) if "beta" in world.dims else world.drop_vars("beta", errors="ignore")
    parts = []
    for ds in records.values():
        last = ds["log_prob"].isel(step=-1, drop=True)
        parts.append(last.rename(beta="method") if "beta" in last.dims else last.expand_dims("method"))
    parts.append(world["reference_log_prob"].expand_dims("method"))
    plain = [
        part.drop_vars(["method", "beta"], errors="ignore").transpose("seed", "method", "prompt", "response")
        for part in parts
    ]
    return world.assign(log_prob=xr.concat(plain, "method", coords="minimal", compat="override"))


def true_rates(policies: xr.Dataset) -> xr.DataArray:
    """Give the true win rate of every policy against the reference: [seed, method]."""
    rate = metrics.win_rate(policies["log_prob"], policies["reference_log_prob"], policies["reward"])
    return rate.mean("prompt", keep_attrs=True)


def ranked_at_random(policies: xr.Dataset, agreements: Sequence[float], comparisons: int) -> xr.DataArray:
    """Rank policies by counted wins that a judge reports who errs at random.

    Args:
        policies: As `line_up` gives them.
        agreements: How often the judge is right, each in [0, 1].
        comparisons: Comparisons with the reference that are counted for each policy.

    Returns:
        Rank correlation with the true ranking, the mean over JUDGES judges, [seed, agreement].
    """
    import xarray as xr

    truth = true_rates(policies)
    right = xr.DataArray(list(agreements), dims="agreement", coords={"agreement": list(agreements)})
    reported = metrics.judged_win_rate(truth, right).expand_dims(judge=JUDGES)
    reported = reported.transpose("judge", "seed", "agreement", "method")
    counted = metrics.counted(reported, comparisons, np.random.default_rng(comparisons))
    return metrics.rank_correlation(counted, truth, "method").mean("judge", keep_attrs=True)


def ranked_by_people(policies: xr.Dataset, comparisons: int) -> xr.DataArray:
    """Rank policies by counted wins that people report, who label by the Bradley-Terry law.

    Args:
        policies: As `line_up` gives them.
        comparisons: Comparisons with the reference that are counted for each policy.

    Returns:
        Rank correlation with the true ranking, the mean over JUDGES groups of people, [seed].
    """
    given = (policies["log_prob"], policies["reference_log_prob"], policies["reward"])
    reported = metrics.labelled_win_rate(*given).mean("prompt").expand_dims(judge=JUDGES)
    counted = metrics.counted(
        reported.transpose("judge", "seed", "method"), comparisons, np.random.default_rng(comparisons)
    )
    return metrics.rank_correlation(counted, true_rates(policies), "method").mean("judge", keep_attrs=True)


def ranked_alike(policies: xr.Dataset, noises: Sequence[float]) -> xr.Dataset:
    """Rank policies by judges whose reward is the true one and an error of their own, the same in every comparison.

    Args:
        policies: As `line_up` gives them.
        noises: Standard deviations of the errors, which are normal draws for each prompt and response.

    Returns:
        `correlation` with the true ranking and `agreement` with the truth on two draws of the reference, means over
        JUDGES judges, [seed, noise].
    """
    import xarray as xr

    generator = np.random.default_rng(1)
    reference, reward, truth = policies["reference_log_prob"], policies["reward"], true_rates(policies)
    drawn = generator.standard_normal((JUDGES, *reward.shape))
    errors = xr.DataArray(drawn, dims=("judge", *reward.dims), coords=reward.coords)
    cells = []
    for noise in noises:
        judge = reward + noise * errors
        rate = metrics.win_rate(policies["log_prob"], reference, judge).mean("prompt")
        cells.append(
            xr.Dataset(
                {
                    "correlation": metrics.rank_correlation(rate, truth, "method").mean("judge", keep_attrs=True),
                    "agreement": metrics.judge_agreement(judge, reward, reference).mean(("judge", "prompt")),
                }
            )
        )
    return xr.concat(cells, xr.DataArray(list(noises), dims="noise", name="noise"), coords="minimal", compat="override")


def at_agreement(alike: xr.Dataset, right: float) -> xr.DataArray:
    """Read the correlation of each seed where its judges agree with the truth at a given rate: [seed].

    Args:
        alike: As `ranked_alike` gives it.
        right: The rate; beyond the ends the nearest end is read.
    """
    import xarray as xr

    values = []
    for seed in alike["seed"].values:
        row = alike.sel(seed=seed).sortby("agreement")
        values.append(np.interp(right, row["agreement"].values, row["correlation"].values))
    return xr.DataArray(values, dims="seed", coords={"seed": alike["seed"]})
