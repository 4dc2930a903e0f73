"""True and learned reward of every method that climbs a learned one, over the KL that it spends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab import metrics
from lab.experiments.frontiers import best_of_n_policies, mean_over_prompts

if TYPE_CHECKING:
    import xarray as xr

DRAWS = (1, 2, 4, 8, 16, 32, 64, 128, 512, 4096)
SIZES = (8, 32, 128, 512)
# Single precision halves the time of a network.
CLIMBS = {"tabular": "adam lr=0.05 steps=1000 every=1000", "mlp": "adam lr=1e-3 steps=500 every=500 dtype=float32"}


def climbing_lines(policy: str, sharpness: float, *, sizes: tuple[int, ...] = SIZES, seeds: int = 48) -> dict[str, str]:
    """Write the lines of DPO and of PPO on a learned reward, over beta and over sizes of the data.

    Args:
        policy: tabular or mlp; the reward model is of the same kind.
        sharpness: Scale of the reference's logits.
        sizes: Comparisons of a prompt.
        seeds: Number of seeds.

    Returns:
        Line by "dpo" and "ppo".

    Raises:
        ValueError: If there is no such policy.
    """
    if policy not in CLIMBS:
        raise ValueError(f"policy is '{policy}'; the policies are {', '.join(CLIMBS)}")
    rest = (
        f"beta=0.02,0.05,0.1,0.2,0.5,2 {CLIMBS[policy]} seeds={seeds} keep=none truth=normal data=sampled "
        f"comparisons={','.join(map(str, sizes))} sharpness={sharpness:g}"
    )
    return {"dpo": f"{policy} open dpo {rest}", "ppo": f"{policy} open ppo {rest} reward_from=model"}


def both_rewards(dpo: xr.Dataset, ppo: xr.Dataset) -> dict[str, xr.Dataset]:
    """Compute the gain in true and in learned reward of DPO, PPO and Best-of-N at the end of their sweeps.

    The learned reward is that of PPO's reward model for all three; DPO saw the same data and no model.

    Args:
        dpo: Record of DPO over beta, one world a seed.
        ppo: Record of a policy gradient with reward_from=model over beta, of the same worlds and data.

    Returns:
        By "best_of_n", "ppo" and "dpo": `kl` in nats, `true` and `learned`, gains over the reference, each
        [seed, point], where a point is a beta, or an N.

    Raises:
        ValueError: If `ppo` has no learned reward.
    """
    import xarray as xr

    world = ppo.isel(beta=0, drop=True)
    picked = best_of_n_policies(world, DRAWS, by="learned_reward").rename(draws="point")
    sweeps = {
        "best_of_n": picked,
        "ppo": ppo.isel(step=-1, drop=True).rename(beta="point"),
        "dpo": dpo.isel(step=-1, drop=True).rename(beta="point"),
    }
    found = {}
    for name, ds in sweeps.items():
        of_both: dict[str, xr.DataArray] = {}
        for kind, word in (("true", "reward"), ("learned", "learned_reward")):
            means = mean_over_prompts(ds.drop_vars("reward").assign(reward=world[word]))
            start = mean_over_prompts(world.drop_vars("reward").assign(reward=world[word]))["reward"]
            of_both |= {kind: means["reward"] - start.isel(step=0, drop=True), "kl": means["kl"]}
        by_name = {kind: each.transpose("seed", "point") for kind, each in of_both.items()}
        bare = {kind: each.drop_vars(set(each.coords) - set(each.dims)) for kind, each in by_name.items()}
        found[name] = xr.Dataset(bare)
    return found


def share_lost(rewards: xr.Dataset) -> xr.DataArray:
    """Compute which share of the largest gain in true reward is lost at the largest KL, [seed]; 0 for no fall.

    Args:
        rewards: One of `both_rewards`.
    """
    lost = metrics.past_peak(rewards["kl"], rewards["true"], over="point")["lost"]
    return (lost / rewards["true"].max("point")).assign_attrs(long_name="share of the gain lost", units="1")


def learned_past_peak(rewards: xr.Dataset) -> xr.DataArray:
    """Compute what the learned reward gains from where the true one peaks to the largest KL, [seed].

    Args:
        rewards: One of `both_rewards`.
    """
    last, peak = (rewards[name].argmax("point") for name in ("kl", "true"))
    ends = (rewards["learned"].isel(point=place).drop_vars("point", errors="ignore") for place in (last, peak))
    at_last, at_peak = ends
    return (at_last - at_peak).assign_attrs(long_name="learned reward past the peak", units="1")
