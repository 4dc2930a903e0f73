"""Who wins a match: each method tuned on some seeds and read on the others, at the same KL, by the true reward."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr

TUNED_ON = 0.4  # of the seeds; the others are reported
KNOBS = ("beta", "lr", "length")


def settle(played: xr.Dataset, *, tuned_on: float = TUNED_ON) -> xr.Dataset:
    """Choose each method's setting by the true reward of the first seeds, and report it on the others.

    Args:
        played: What `play` returned.
        tuned_on: Share of the seeds on which settings are chosen, in every cell and at every budget anew.

    Returns:
        On the other seeds, at the chosen settings: `dpo`, `ppo` and `ahead`, PPO's gain less DPO's, [world axes, seed,
        prompt, budget]; `dpo_agreement` and `ppo_agreement` [world axes, seed, budget]. What was chosen: `dpo_beta`,
        `dpo_lr`, `ppo_beta`, `ppo_length` [world axes, budget], as far as there was a choice.

    Raises:
        ValueError: If either part of the seeds is empty.
    """
    import xarray as xr

    seeds = played.sizes["seed"]
    first = round(tuned_on * seeds)
    if not 0 < first < seeds:
        raise ValueError(f"tuned_on is {tuned_on:g} of {seeds} seeds; both parts need at least one seed: give more")
    found = {}
    for name in ("dpo", "ppo"):
        knobs = [knob for knob in KNOBS if knob in played[name].dims]
        flat = {each: played[each].stack(setting=knobs, create_index=False) for each in (name, f"{name}_agreement")}
        best = flat[name].isel(seed=slice(first)).mean(("seed", "prompt")).argmax("setting")
        for each, values in flat.items():
            reported = values.isel(seed=slice(first, None)).isel(setting=best)
            found[each] = reported.drop_vars([knob for knob in knobs if knob in reported.coords])
        for knob in knobs:
            chosen = flat[name][knob].drop_vars(knobs).isel(setting=best)
            found[f"{name}_{knob}"] = chosen.assign_attrs(long_name=f"{knob} of {name}", units="1")
    found["ahead"] = found["ppo"] - found["dpo"]
    for name, words in (("dpo", "DPO's gain"), ("ppo", "PPO's gain"), ("ahead", "PPO's gain less DPO's")):
        found[name] = found[name].assign_attrs(long_name=words, units="1")
    return xr.Dataset(found, attrs=played.attrs)


def by_prompts(values: xr.DataArray, held: int) -> xr.DataArray:
    """Average over the prompts with comparisons and, apart from them, over those without.

    Args:
        values: A quantity of `settle`, [..., prompt].
        held: How many prompts have no comparisons; they are the last.

    Returns:
        [prompts, ...], "compared" and, if there are any, "new".
    """
    import xarray as xr

    edge = values.sizes["prompt"] - held
    parts = {"compared": slice(edge), **({"new": slice(edge, None)} if held else {})}
    means = [values.isel(prompt=places).mean("prompt", keep_attrs=True) for places in parts.values()]
    return xr.concat(means, xr.Variable("prompts", list(parts)))
