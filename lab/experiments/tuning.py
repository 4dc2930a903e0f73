"""Methods on the frontier when each is tuned over as many settings, on other seeds than those that are reported.

What is tuned is when to stop: DPO and its kin at so many updates of the policy, PPO on a learned reward and Best-of-N
at as many of the reward model. beta, or N, is read along the frontier and counts as no setting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lab import metrics
from lab.experiments.frontiers import (
    COMPARISONS,
    DRAWS,
    EXACT_BETAS,
    ROUNDS,
    TRAININGS,
    best_of_n_policies,
    mean_over_prompts,
    optimal_policies,
    read_off,
)

if TYPE_CHECKING:
    import xarray as xr

SETTINGS = (10, 25, 50, 100, 200, 500)
BETAS = "0.05,0.1,0.2,0.4,0.8,2"
PRECISION = {"tabular": "", "mlp": " dtype=float32"}
SEEDS = 48  # half of them to tune on, half to report


def tuning_lines(policy: str, *, comparisons: int = COMPARISONS, seeds: int = SEEDS) -> dict[str, str]:
    """Write the experiment lines of methods that are tuned alike.

    Args:
        policy: tabular or mlp.
        comparisons: Labelled comparisons of a prompt.
        seeds: Number of seeds.

    Returns:
        Line by method: dpo, ipo, online (DPO with as many labels, in rounds on what the policy draws), ppo (on a reward
        model of each of SETTINGS updates), ppo_gt (on the true reward). The others are stopped by reading their record.

    Raises:
        ValueError: If there is no such policy.
    """
    if policy not in TRAININGS:
        raise ValueError(f"policy is '{policy}'; the policies are {', '.join(TRAININGS)}")
    steps = SETTINGS[-1]
    # Single precision halves the time of a network and moves these medians by less than 0.01.
    rest = f"{TRAININGS[policy][0]} steps={steps} seeds={seeds} keep=none truth=normal" + PRECISION[policy]
    given, own = (f"{rest} data=sampled comparisons={each}" for each in (comparisons, comparisons // ROUNDS))
    read, last = "every=5", f"every={steps}"
    words = {
        "dpo": f"dpo beta={BETAS} {given} {read}",
        "ipo": f"ipo beta={BETAS} {given} {read}",
        "online": f"dpo beta={BETAS} {own} {read} sampler=policy refresh={steps // ROUNDS}",
        "ppo": f"ppo beta={BETAS} {given} {last} reward_from=model model_steps={','.join(map(str, SETTINGS))}",
        "ppo_gt": f"ppo beta={BETAS} {rest} {read}",
    }
    return {name: f"{policy} open {each}" for name, each in words.items()}


def tuned_shares(data: Mapping[str, xr.Dataset], levels: Sequence[float]) -> dict[str, xr.DataArray]:
    """Read every setting of every method at the same KL, as a share of what the exact optimum gains there.

    Args:
        data: Records of `tuning_lines` by method, all of one world; dpo and ppo at least.
        levels: KL, above 0, nats.

    Returns:
        Share by method, "best_of_n" by PPO's reward models among them, [setting, seed, level].
    """
    import xarray as xr

    start = mean_over_prompts(data["dpo"])["reward"].isel(step=0, beta=0, drop=True)
    best = read_off(optimal_policies(data["dpo"], EXACT_BETAS), levels, "beta", start)

    def share(ds: xr.Dataset, over: str) -> xr.DataArray:
        found = metrics.share_of_gain(read_off(ds, levels, over, start), best, start)
        return found.transpose("setting", "seed", "level")

    sweeps = {
        name: ds.isel(step=-1, drop=True).rename(model_steps="setting")
        if "model_steps" in ds.dims
        else ds.sel(step=list(SETTINGS)).rename(step="setting")
        for name, ds in data.items()
    }
    found = {name: share(ds, "beta") for name, ds in sweeps.items()}
    worlds = sweeps["ppo"].isel(beta=0, drop=True)
    picked = [best_of_n_policies(worlds.sel(setting=each, drop=True), DRAWS, by="learned_reward") for each in SETTINGS]
    found["best_of_n"] = share(xr.concat(picked, "setting").assign_coords(setting=list(SETTINGS)), "draws")
    return found


def tune(share: xr.DataArray) -> xr.Dataset:
    """Choose a setting at each KL on the first half of the seeds, and report it on the second.

    Args:
        share: One of `tuned_shares`, [setting, seed, level].

    Returns:
        `setting` [level], that of the largest median over the first half; `tuned` and `plain` [seed, level] on the
        second half, of that setting and of the last one, which never stops early.

    Raises:
        ValueError: If there are fewer than two seeds.
    """
    import xarray as xr

    half = share.sizes["seed"] // 2
    if half < 1:
        raise ValueError(f"there is {share.sizes['seed']} seed; tuning takes one half of them: give two or more")
    first, second = share.isel(seed=slice(0, half)), share.isel(seed=slice(half, None))
    # A method that has no number at some setting is not chosen there.
    place = first.median("seed", skipna=False).fillna(-np.inf).argmax("setting")
    return xr.Dataset(
        {
            "setting": share["setting"].isel(setting=place).drop_vars("setting"),
            "tuned": second.isel(setting=place).drop_vars("setting").transpose("seed", "level"),
            "plain": second.isel(setting=-1, drop=True).transpose("seed", "level"),
        }
    )
