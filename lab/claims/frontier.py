"""The frontier of reward and KL: what the DPO paper says of it, and what decides who is on it."""

from __future__ import annotations

from math import ceil, inf, isfinite
from typing import TYPE_CHECKING

from lab import metrics
from lab.claims.claim import Claim, Data, Evidence, Side
from lab.claims.evidence import above, below, told
from lab.experiments.costs import spent
from lab.experiments.frontiers import BETAS, at_equal_kl, lines, share_over_steps, updates_until
from lab.experiments.over_optimisation import SIZES, both_rewards, climbing_lines, learned_past_peak, share_lost
from lab.experiments.tuning import SETTINGS, tune, tuned_shares, tuning_lines

if TYPE_CHECKING:
    import xarray as xr

NAMES = {"dpo": "DPO", "ppo": "PPO", "ppo_gt": "PPO-GT", "online": "online DPO", "best_of_n": "Best-of-N", "ipo": "IPO"}
LEVELS = (0.5, 1.0, 2.0)
FAR = 0.1  # share of the optimum's gain
LOST = 0.01
LIFT, AHEAD = 0.03, 0.05
CLIMBERS = ("best_of_n", "ppo")
COST_BETA, GOAL = 0.2, 0.9
COST = "{} open {} beta=0.2 adam lr={} seeds=24 every=5 keep=none truth=normal"
WHOLE, SAMPLE = lines("mlp", "population"), lines("mlp", "sampled")
TABLE_WHOLE, TABLE_SAMPLE = lines("tabular", "population"), lines("tabular", "sampled")
THREE = ("dpo", "ppo", "ppo_gt")
CLIMB = (
    "tabular open {} beta=" + BETAS + " adam lr=0.05 steps=1000 seeds=24 every=50 keep=none truth=normal data=sampled "
    "comparisons=8,32,128 sharpness={}"
)


def dominates(data: Data) -> tuple[Evidence, ...]:
    """Ask at every KL whether DPO gains more than PPO, on a learned and on the true reward."""
    share = at_equal_kl(data, LEVELS)
    return tuple(
        above(f"at KL {level:g}, DPO less {NAMES[rival]}", _at(share["dpo"] - share[rival], level), 0.0, style=".4f")
        for rival in ("ppo_gt", "ppo")
        for level in LEVELS
    )


def bound_by_data(data: Data) -> tuple[Evidence, ...]:
    """Ask at KL 1 whether DPO and PPO gain alike, and whether the true reward would have given much more."""
    share = at_equal_kl(data, [1.0])
    apart = _at(share["dpo"] - share["ppo"], 1.0)
    return (
        above("the true reward's gain less PPO's on the learned one", _at(share["ppo_gt"] - share["ppo"], 1.0), FAR),
        above("DPO less PPO", apart, -FAR),
        below("DPO less PPO", apart, FAR),
        *(told(f"{NAMES[name]}, share of the optimum's gain", _at(share[name], 1.0)) for name in ("dpo", "ppo", "ipo")),
    )


def online(data: Data) -> tuple[Evidence, ...]:
    """Ask whether labels on the policy's own responses take it further, at a large KL."""
    share = at_equal_kl(data, [0.2, 2.0])
    more = share["online"] - share["dpo"]
    return (
        above("at KL 2, online DPO less DPO", _at(more, 2.0), 0.05),
        told("at KL 0.2, online DPO less DPO", _at(more, 0.2)),
    )


def spares_draws(data: Data) -> tuple[Evidence, ...]:
    """Ask whether DPO arrives, and in no more updates than PPO on the true reward."""
    share = {name: share_over_steps(ds, COST_BETA) for name, ds in data.items()}
    updates = {name: updates_until(each, GOAL) for name, each in share.items()}
    return (
        above("DPO: share of the optimum's gain at the end", share["dpo"].isel(step=-1, drop=True), GOAL),
        above("updates of PPO-GT less DPO's", updates["ppo_gt"] - updates["dpo"], 0.0, style=".0f"),
        *(told(f"{NAMES[name]}: updates", each, style=".0f") for name, each in updates.items()),
        *(
            told(f"{NAMES[name]}: {what}", _counted(data[name], each, kind), style=".0f")
            for what, kind in (("passes, forward and reverse", "passes"), ("responses drawn for a prompt", "drawn"))
            for name, each in updates.items()
        ),
    )


def tuned_alike(data: Data) -> tuple[Evidence, ...]:
    """Ask at KL 1 what stopping in time gives DPO and PPO, and whether PPO is then ahead, on seeds not tuned on."""
    found = {name: tune(each) for name, each in tuned_shares(data, [1.0]).items()}
    tuned, plain = ({name: _at(each[kind], 1.0) for name, each in found.items()} for kind in ("tuned", "plain"))
    at = {name: f"at {int(each['setting'].item())} of {SETTINGS[-1]}" for name, each in found.items()}
    return (
        above("DPO stopped in time less to the end", tuned["dpo"] - plain["dpo"], LIFT),
        above("PPO, its reward model stopped in time less to the end", tuned["ppo"] - plain["ppo"], LIFT),
        below("PPO less DPO, both stopped in time", tuned["ppo"] - tuned["dpo"], AHEAD),
        told("PPO less DPO, both to the end", plain["ppo"] - plain["dpo"]),
        told(f"DPO stopped {at['dpo']} updates, share of the optimum's gain", tuned["dpo"]),
        told(f"PPO, its reward model stopped {at['ppo']} updates", tuned["ppo"]),
    )


def few_and_many(data: Data) -> tuple[Evidence, ...]:
    """Ask who climbs a learned reward for true reward lost past its peak, with few comparisons and with many."""
    few, many = (
        both_rewards(*(data[name].sel(comparisons=size, drop=True) for name in ("dpo", "ppo")))
        for size in (SIZES[0], SIZES[-1])
    )
    lost = "share of its gain lost past the peak"
    return (
        *(above(f"{NAMES[name]}, {SIZES[0]} comparisons: {lost}", share_lost(few[name]), LOST) for name in CLIMBERS),
        *(
            above(
                f"{NAMES[name]}, {SIZES[0]} comparisons: learned reward gained past it", learned_past_peak(few[name]), 0
            )
            for name in CLIMBERS
        ),
        *(below(f"{NAMES[name]}, {SIZES[-1]} comparisons: {lost}", share_lost(many[name]), FAR) for name in CLIMBERS),
        *(
            told(f"{NAMES[name]}, {SIZES[0]} comparisons: KL at the peak", _peak(each), units="nats", style=".2f")
            for name, each in few.items()
        ),
        told(f"DPO, {SIZES[0]} comparisons: {lost}", share_lost(few["dpo"])),
    )


def turns(data: Data) -> tuple[Evidence, ...]:
    """Ask each method for true reward lost past its peak, where the learned one has risen."""
    found = both_rewards(data["dpo"], data["ppo"])
    asked = [
        above(f"{NAMES[name]}: share of its gain lost past the peak", share_lost(each), LOST)
        for name, each in found.items()
    ]
    rising = [
        above(f"{NAMES[name]}: learned reward gained past that peak", learned_past_peak(found[name]), 0.0)
        for name in ("best_of_n", "ppo")
    ]
    return (*asked, *rising)


def _counted(ds: xr.Dataset, updates: xr.DataArray, kind: str) -> xr.DataArray:
    """Count what so many updates of a record's line spend, [seed]; infinite for a run that never arrives."""
    line = ds.attrs["experiment"]
    found = [float(getattr(spent(line, ceil(each)), kind)) if isfinite(each) else inf for each in updates.values]
    return updates.copy(data=found)


def _peak(rewards: xr.Dataset) -> xr.DataArray:
    return metrics.past_peak(rewards["kl"], rewards["true"], over="point")["peak_kl"]


def _at(values: xr.DataArray, level: float) -> xr.DataArray:
    return values.sel(level=level, drop=True)


def _costs(policy: str, optimizer: str) -> dict[str, str]:
    dpo, ppo = (COST.format(policy, word, optimizer) for word in ("dpo", "ppo"))
    return {"dpo": dpo, "ppo_gt": f"{ppo} samples=8 epochs=4"}


def _some(given: dict[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {name: given[name] for name in names}


CLAIMS = (
    Claim(
        "dpo_dominates_the_frontier",
        "DPO's frontier of reward and KL dominates PPO's, PPO on the true reward included.",
        section="6.1",
        setting="GPT-2, controlled sentiment",
        paper="DPO",
        method="Share of the exact optimum's gain in expected reward at KL 0.5, 1 and 2, all betas of a method or "
        "mixtures of two: DPO's is to be the larger at each, seed by seed.",
        lines=_some(WHOLE, THREE),
        examine=dominates,
        here={"data": "the whole population", "policy": "network", "gradient": "PPO of 8 draws"},
        sides=(
            Side("data", "32 comparisons", _some(SAMPLE, THREE)),
            Side("policy", "table", _some(TABLE_WHOLE, THREE)),
            Side(
                "gradient",
                "exact policy gradient",
                {name: WHOLE[name].replace(" ppo ", " pg ") for name in ("ppo", "ppo_gt")},
            ),
        ),
    ),
    Claim(
        "dpo_spares_draws_and_updates",
        "DPO is light: it trains without sampling from the policy, and no slower than PPO.",
        section="1",
        setting="up to 6B parameters",
        paper="DPO",
        method=f"With every comparison known and β = {COST_BETA:g}: DPO, which draws nothing, is to end above {GOAL:g} "
        "of the exact optimum's gain, and PPO on the true reward, 8 draws a batch and 4 updates on each, is to need "
        "more updates to get there.",
        lines=_costs("mlp", "1e-3 steps=500"),
        examine=spares_draws,
        here={"policy": "network"},
        sides=(Side("policy", "table", _costs("tabular", "0.05 steps=1000")),),
    ),
    Claim(
        "sampled_data_bind_dpo_and_ppo_alike",
        "With 32 comparisons, the data keep DPO and PPO from the frontier, not the objective.",
        method=f"Share of the exact optimum's gain at KL 1: DPO and PPO on a learned reward are to differ by less than "
        f"{FAR:g}, and PPO on the true reward is to have at least {FAR:g} more.",
        lines=_some(SAMPLE, (*THREE, "ipo")),
        examine=bound_by_data,
        here={"policy": "network"},
        sides=(Side("policy", "table", _some(TABLE_SAMPLE, (*THREE, "ipo"))),),
    ),
    Claim(
        "labels_on_its_own_responses_go_further",
        "As many labels, asked in rounds about the policy's own responses, take DPO further.",
        method="32 comparisons a prompt at once on the reference's responses, or 8 in each of four rounds on those of "
        "the policy; at KL 2 the latter is to have at least 0.05 more of the exact optimum's gain.",
        lines=_some(SAMPLE, ("dpo", "ppo", "online")),
        examine=online,
        here={"policy": "network", "sampler": "the policy's own responses, in rounds"},
        sides=(
            Side("policy", "table", _some(TABLE_SAMPLE, ("dpo", "ppo", "online"))),
            Side("sampler", "responses drawn evenly, at once", {"online": f"{SAMPLE['dpo']} sampler=even"}),
            Side("sampler", "responses tilted to the reward, at once", {"online": f"{SAMPLE['dpo']} sampler=tilted"}),
        ),
    ),
    Claim(
        "learned_reward_turns_against_the_true",
        "Under a sharp reference, past some KL the learned reward rises and the true falls.",
        method=f"Over all betas, or N: more than {LOST:g} of the largest gain in true reward is to be gone at the "
        "largest KL, and the learned reward is to have risen meanwhile. The reference is sharpened twofold.",
        lines={"dpo": CLIMB.format("dpo", 2), "ppo": CLIMB.format("ppo", 2) + " reward_from=model"},
        examine=turns,
        pick={"comparisons": 128},
        here={"data": "128 comparisons", "reference": "sharpened twofold", "policy": "a table"},
        sides=(
            Side("data", "32 comparisons", pick={"comparisons": 32}),
            Side("data", "8 comparisons", pick={"comparisons": 8}),
            Side(
                "reference",
                "as drawn",
                {"dpo": CLIMB.format("dpo", 1), "ppo": CLIMB.format("ppo", 1) + " reward_from=model"},
            ),
            Side("policy", "a network", climbing_lines("mlp", 2)),
        ),
    ),
    Claim(
        "networks_turn_with_few_comparisons",
        "A network's learned reward turns against the true one with few comparisons, not with many.",
        method=f"Policy and reward model are networks, the reference is sharpened twofold. With {SIZES[0]} comparisons "
        f"a prompt PPO and Best-of-N are to lose more than {LOST:g} of their largest gain in true reward while the "
        f"learned one rises, with {SIZES[-1]} less than {FAR:g}.",
        lines=climbing_lines("mlp", 2),
        examine=few_and_many,
        here={"policy": "a network"},
        sides=(Side("policy", "a table", climbing_lines("tabular", 2)),),
    ),
    Claim(
        "stopping_in_time_lifts_dpo_and_ppo",
        "Tuned alike, DPO stopped in time keeps up with PPO whose reward model did.",
        method=f"32 comparisons; each has {len(SETTINGS)} moments to stop at, the best chosen on 24 seeds and reported "
        f"on 24 others. Of the optimum's gain at KL 1 both are to gain {LIFT:g} by it, and PPO is to be less than "
        f"{AHEAD:g} ahead of DPO.",
        lines=_some(tuning_lines("mlp"), ("dpo", "ppo")),
        examine=tuned_alike,
        here={"policy": "a network"},
        sides=(Side("policy", "a table", _some(tuning_lines("tabular"), ("dpo", "ppo"))),),
    ),
)
