"""Reward against KL of every method in one world, beside what is exact there: the optimum for each beta, Best-of-N."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lab import metrics

if TYPE_CHECKING:
    import torch
    import xarray as xr

REWARDS = ("reward", "learned_reward")
BETAS = "0.02,0.05,0.1,0.2,0.3,0.4,0.5,0.65,0.8,1.2,2,5,20"
DRAWS = (1, 2, 4, 8, 16, 32, 64, 128)
EXACT_BETAS = tuple(np.geomspace(5e-3, 50, 240).tolist())
COMPARISONS, ROUNDS = 32, 4
# policy: its optimiser, updates and stride
TRAININGS = {"tabular": ("adam lr=0.05", 1000, 50), "mlp": ("adam lr=1e-3", 500, 25)}


def lines(policy: str, data: str, *, comparisons: int = COMPARISONS, seeds: int = 24) -> dict[str, str]:
    """Write the experiment lines of the methods that are compared at equal KL.

    The online method is given as many labels as the others: a fresh ROUNDS-th of them in each of as many rounds, drawn
    from the policy as it stands; of the whole population it draws anew at every update.

    Args:
        policy: tabular or mlp.
        data: population or sampled.
        comparisons: Labelled comparisons of a prompt, where they are sampled.
        seeds: Number of seeds.

    Returns:
        Line by method: dpo, ipo, ppo (on a learned reward), ppo_gt (on the true one), online (DPO on what the policy
        draws), sft (on the chosen responses), unlikelihood.

    Raises:
        ValueError: If there is no such policy or data.
    """
    if policy not in TRAININGS or data not in ("population", "sampled"):
        raise ValueError(
            f"policy is '{policy}' and data '{data}'; policies are {', '.join(TRAININGS)}, data population and sampled"
        )
    optimizer, steps, every = TRAININGS[policy]
    rest = f"{optimizer} steps={steps} seeds={seeds} every={every} keep=none truth=normal"
    sampled = data == "sampled"
    given = f"{rest} data=sampled comparisons={comparisons}" if sampled else rest
    own = f"{rest} data=sampled comparisons={comparisons // ROUNDS}" if sampled else rest
    refresh = steps // ROUNDS if sampled else 1
    words = {
        "dpo": f"dpo beta={BETAS} {given}",
        "ipo": f"ipo beta={BETAS} {given}",
        "ppo": f"ppo beta={BETAS} {given} reward_from=model",
        "ppo_gt": f"ppo beta={BETAS} {rest}",
        "online": f"dpo beta={BETAS} {own} sampler=policy refresh={refresh}",
        "sft": f"sft {given}",
        "unlikelihood": f"unlikelihood unlikelihood_weight=0.1,0.2,0.5,1,1.5,2 {given}",
    }
    return {name: f"{policy} open {each}" for name, each in words.items()}


def at_equal_kl(data: Mapping[str, xr.Dataset], levels: Sequence[float]) -> dict[str, xr.DataArray]:
    """Read every method at the same KL, as a share of what the exact optimum gains there.

    Args:
        data: Records of `lines` by method, all of one world; "ppo" gives the learned reward by which Best-of-N picks.
        levels: KL, above 0, nats.

    Returns:
        `lab.metrics.share_of_gain` of the trained policies at the last step, by method, and of "best_of_n",
        [seed, level]. SFT is the sweep of its own steps.
    """
    start = mean_over_prompts(data["dpo"])["reward"].isel(step=0, beta=0, drop=True)
    best = read_off(optimal_policies(data["dpo"], EXACT_BETAS), levels, "beta", start)
    found = {}
    for name, ds in data.items():
        over = "step" if name == "sft" else "unlikelihood_weight" if name == "unlikelihood" else "beta"
        end = ds if over == "step" else ds.isel(step=-1, drop=True)
        found[name] = metrics.share_of_gain(read_off(end, levels, over, start), best, start)
    picked = best_of_n_policies(data["ppo"].isel(beta=0, drop=True), DRAWS, by="learned_reward")
    found["best_of_n"] = metrics.share_of_gain(read_off(picked, levels, "draws", start), best, start)
    return {name: each.transpose("seed", "level") for name, each in found.items()}


def share_over_steps(ds: xr.Dataset, beta: float) -> xr.DataArray:
    """Compute at every step the share of what the exact optimum of a beta gains, [..., step].

    Args:
        ds: A record with a true reward and no axis beta.
        beta: That of the optimum.
    """
    reward = mean_over_prompts(ds)["reward"]
    best = mean_over_prompts(optimal_policies(ds, [beta]))["reward"].isel(beta=0, drop=True)
    return metrics.share_of_gain(reward, best, reward.isel(step=0, drop=True))


def updates_until(share: xr.DataArray, goal: float) -> xr.DataArray:
    """Count the updates until a share is first reached, [...]; infinite where it never is.

    Args:
        share: One of `share_over_steps`.
        goal: The share.
    """
    steps = share["step"].astype(float).broadcast_like(share)
    return metrics.when_reached(steps, share, [goal]).isel(level=0, drop=True).fillna(np.inf)


def mean_over_prompts(ds: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return the true reward and the KL from the reference, means over prompts, of a record or of exact policies."""
    return {
        "reward": metrics.expected_reward(ds).mean("prompt", skipna=False, keep_attrs=True),
        "kl": metrics.kl_from_reference(ds).mean("prompt", skipna=False, keep_attrs=True),
    }


def read_off(ds: xr.Dataset, levels: Sequence[float], over: str, start: xr.DataArray) -> xr.DataArray:
    """Read the reward of a sweep at each KL, by `lab.metrics.reward_at_kl`.

    Args:
        ds: A record, or exact policies.
        levels: KL, nats.
        over: The swept dimension.
        start: Reward of the reference, [seed].
    """
    means = mean_over_prompts(ds)
    return metrics.reward_at_kl(means["kl"], means["reward"], levels, over=over, start=start)


def optimal_policies(ds: xr.Dataset, betas: Sequence[float], *, by: str = "reward") -> xr.Dataset:
    """Compute the policies that no policy beats: the optimum of E r - β KL for each β.

    Args:
        ds: A record with a true reward; axes along which its reference and reward differ stay.
        betas: β, each above 0.
        by: The reward that is climbed: "reward", the true one, or "learned_reward".

    Returns:
        What `lab.metrics` reads of a record: `log_prob` [..., beta, prompt, response], with the `reference_log_prob`
        and `reward` (and `learned_reward`, if it is there) of its world.

    Raises:
        ValueError: If the record has no such reward, an axis of its world is called beta, or a beta is not above 0.
    """
    # Figures name their lines from here, and naming a line must not wait for torch.
    import torch

    from lab.optima import optimum

    values = torch.tensor(list(map(float, betas)), dtype=torch.float64)
    return _policies(ds, by, "beta", values, lambda reference, reward: optimum(reference, reward, values).log_prob)


def best_of_n_policies(ds: xr.Dataset, draws: Sequence[float], *, by: str = "reward") -> xr.Dataset:
    """Compute the distribution of the best of N responses drawn from the reference, for each N.

    Args:
        ds: A record with a true reward; axes along which its reference and reward differ stay.
        draws: N, each at least 1.
        by: The reward that picks: "reward", the true one, or "learned_reward".

    Returns:
        As `optimal_policies`, with `draws` in the place of beta.

    Raises:
        ValueError: If the record has no such reward, or an N is below 1.
    """
    import torch

    from lab.optima import best_of_n

    values = torch.tensor(list(map(float, draws)), dtype=torch.float64)
    return _policies(ds, by, "draws", values, lambda reference, reward: best_of_n(reference, reward, values))


def _policies(ds: xr.Dataset, by: str, name: str, values: torch.Tensor, compute) -> xr.Dataset:  # type: ignore[no-untyped-def]
    import torch

    if by not in REWARDS or by not in ds:
        there = [word for word in REWARDS if word in ds]
        raise ValueError(
            f"by is '{by}' and the record has {', '.join(there) or 'neither'}; choose one of {', '.join(REWARDS)} that "
            "the record has: truth=normal gives the first, reward_from=model the second"
        )
    world = _world(ds, by)
    axes = [str(dim) for dim in world[by].dims if dim not in ("prompt", "response")]
    if name in axes:
        raise ValueError(f"the world of the record differs along {name}, which is to be swept; pick one with ds.sel")
    order = (*axes, "prompt", "response")
    reference, reward = (
        torch.from_numpy(each.transpose(*order).values.astype(np.float64)) for each in
        (world["reference_log_prob"].broadcast_like(world[by]), world[by])
    )  # fmt: skip
    runs = [each.flatten(0, -3) if axes else each[None] for each in (reference, reward)]
    log_prob = compute(*runs).numpy()
    shape = [*(world.sizes[axis] for axis in axes), len(values), *log_prob.shape[-2:]]
    dims = (*axes, name, "prompt", "response")
    coords = {name: values.numpy()}
    return world.assign(log_prob=(dims, log_prob.reshape(shape))).assign_coords(coords)


def _world(ds: xr.Dataset, by: str) -> xr.Dataset:
    """Keep reference and rewards, without the axes along which both of a policy's givens are the same."""
    world = ds[[name for name in ("reference_log_prob", *REWARDS) if name in ds]]
    for axis in [dim for dim in world.dims if dim not in ("seed", "prompt", "response")]:
        first = world.isel({axis: 0}, drop=True)
        # Runs of one world differ by rounding where they lie at other places of a batch.
        if all(np.allclose(world[name], first[name].broadcast_like(world[name]), 1e-9, 1e-9) for name in world):
            world = first
    return world.drop_vars([name for name in world.coords if name not in world.dims])
