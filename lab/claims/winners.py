"""Who wins: DPO or PPO on a learned reward, both tuned alike, from the same comparisons, at the same KL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from lab import metrics
from lab.claims.claim import Claim, Data, Evidence, Side
from lab.claims.evidence import above, below, told
from lab.experiments.experiment import Experiment
from lab.experiments.matches import BUDGETS, LENGTHS, dpo_beside, play
from lab.experiments.winners import settle

if TYPE_CHECKING:
    import xarray as xr

# The settings are those of the figure ppo_pays_where_its_reward_model_knows_more, the seeds others.
LEAD = 0.05  # of reward, whose standard deviation over responses is about 1
KL, LARGE = 1.0, 2.0
TABLE = ((0.03, 0.3, 1, 3), (0.02, 0.05, 0.1))  # betas and rates of DPO
NETWORK = ((0.1, 1), (3e-4, 1e-3, 3e-3))
GAINS = ("dpo", "ppo")
SHARP_KL = (1.0, 2.0, 4.0)  # a sharp reference leaves more room
STEPS, LOOKS = 200, 10  # updates of the policies, and how often KL is looked at
OF_NETWORK = (25, 100, 400)  # lengths of a network's training as reward model
SEEDS = "seeds=40 seed=100"
PROMPTS = 12  # so that seeds differ less
FEW, MANY, RIGHT = "comparisons=8", "comparisons=64", "judge=noisy agreement=1"
NOISY = "judge=noisy agreement=0.8"
CELLS = (
    f"open rm adam lr=0.05 steps=250 {SEEDS} every=250 keep=none truth=linear data=sampled comparisons=8,128 "
    "judge=noisy agreement=0.6,1 coverage=3,10"
)


def match_lines(policy: str, model: str, data: str = f"{FEW} {NOISY}", *, truth: str = "linear") -> dict[str, str]:
    """Write the lines of DPO and of a reward model on the same comparisons; PPO takes its settings from the two.

    Args:
        policy: The policy that DPO and PPO train: tabular, loglinear or mlp.
        model: The kind of the reward model, one of the same words.
        data: Comparisons and judge.
        truth: The true reward: linear in the features of a log-linear policy, or normal.

    Returns:
        The lines by "dpo" and "model".
    """
    steps, rate = (OF_NETWORK[-1], "1e-3") if model == "mlp" else (LENGTHS[-1], "0.05")
    world = f"{SEEDS} every={steps} keep=none prompts={PROMPTS} truth={truth} data=sampled {data}"
    line = f"{model} open rm adam lr={rate} steps={steps} {world}"
    # The way there, on which runs are stopped, would be too much to keep: the line's own record has the ends alone.
    return {"dpo": str(_beside(line, policy, STEPS)), "model": line}


def sharp_lines(agreement: float) -> dict[str, str]:
    """Write the same for the world in which PPO with a model stopped early is ahead of DPO trained to the end.

    Args:
        agreement: Share of labels that are right.

    Returns:
        The lines by "dpo" and "model".
    """
    line = (
        f"tabular open rm adam lr=0.1 steps={LENGTHS[-1]} {SEEDS} every={LENGTHS[-1]} keep=none prompts=16 "
        f"truth=normal data=sampled comparisons=64 judge=noisy agreement={agreement:g} sharpness=3"
    )
    betas, rates = (0.03, 0.1, 0.3, 1), TABLE[1]
    dpo = dpo_beside(line, policy="tabular", betas=betas, rates=rates, steps=2 * STEPS, every=2 * STEPS)
    return {"dpo": str(dpo), "model": line}


def leads(data: Data, method: str = "ppo") -> tuple[Evidence, ...]:
    """Ask whether PPO earns more than DPO at both KL."""
    found = _settled(data, method)
    gap, right = found["ahead"].mean("prompt"), found["ppo_agreement"] - found["dpo_agreement"]
    return (
        above(f"PPO's reward less DPO's, at KL {KL:g}", _at(gap, KL), LEAD),
        above(f"PPO's reward less DPO's, at KL {LARGE:g}", _at(gap, LARGE), LEAD),
        *(told(f"{name.upper()}: reward gained at KL {KL:g}", _at(found[name].mean("prompt"), KL)) for name in GAINS),
        told("couples ordered rightly, reward model less DPO's implicit reward", _at(right, KL)),
    )


def trails(data: Data, method: str = "ppo") -> tuple[Evidence, ...]:
    """Ask whether PPO earns less than DPO at two KL."""
    found = _settled(data, method)
    gap = found["ahead"].mean("prompt")
    return (
        below(f"PPO's reward less DPO's, at KL {KL:g}", _at(gap, KL), 0.0),
        below("PPO's reward less DPO's, at KL 0.3", _at(gap, 0.3), 0.0),
        *(told(f"{name.upper()}: reward gained at KL {KL:g}", _at(found[name].mean("prompt"), KL)) for name in GAINS),
    )


def stops_too(data: Data) -> tuple[Evidence, ...]:
    """Ask whether PPO's lead on wrong labels is still there where DPO may stop early as well."""
    found = _settled(data, "ppo", SHARP_KL)
    gap = found["ahead"].mean("prompt")
    what = "PPO's reward less DPO's, at KL"
    return (
        *(below(f"{what} {budget:g}", _at(gap, budget), LEAD) for budget in SHARP_KL),
        *(told(f"{name.upper()}: reward gained at KL {SHARP_KL[-1]:g}", _at(found[name].mean("prompt"), SHARP_KL[-1]))
          for name in GAINS),
    )  # fmt: skip


def follows(data: Data) -> tuple[Evidence, ...]:
    """Correlate over all cells, seed by seed, what the model knows more with how far PPO leads."""
    import xarray as xr

    known, lead, apart = [], [], {}
    for name, record in data.items():
        model = record.attrs["experiment"]
        found = settle(play(_beside(model, "tabular", LOOKS), model))
        cells = [str(dim) for dim in found["ahead"].dims if dim not in ("seed", "prompt")]
        more = found["ppo_agreement"] - found["dpo_agreement"]
        gap = found["ahead"].mean("prompt")
        apart[name] = more.mean(cells)
        known.append(more.stack(cell=cells, create_index=False).drop_vars(cells))
        lead.append(gap.stack(cell=cells, create_index=False).drop_vars(cells))
    first, second = (xr.concat(parts, "cell") for parts in (known, lead))
    return (
        above("rank correlation over the cells", metrics.rank_correlation(first, second, "cell"), 0.3),
        *(told(f"couples ordered rightly, model less DPO: {name}", each) for name, each in apart.items()),
    )


def _beside(model: str, policy: str, every: int) -> Experiment:
    betas, rates = NETWORK if policy == "mlp" else TABLE
    return dpo_beside(model, policy=policy, betas=betas, rates=rates, steps=STEPS, every=every)


def _settled(data: Data, method: str, budgets: Sequence[float] = BUDGETS) -> xr.Dataset:
    """Play the match of the two lines, with the lengths of the model's kind, and tune both methods."""
    dpo, model = (data[name].attrs["experiment"] for name in ("dpo", "model"))
    seen = replace(Experiment.parse(dpo), every=(LOOKS,))
    lengths = OF_NETWORK if model.startswith("mlp") else LENGTHS
    return settle(play(seen, model, lengths=lengths, budgets=budgets, method=method))


def _at(values: xr.DataArray, budget: float) -> xr.DataArray:
    return values.sel(budget=budget, drop=True)


TUNED = (
    "DPO over β and learning rate, PPO over β and how long its reward model is trained, as many settings of both; the "
    "best by the mean of the first 16 seeds is read on the other 24, where the KL gets to the budget."
)
CLAIMS = (
    Claim(
        "ppo_wins_where_its_model_knows_more",
        "PPO beats DPO where its reward model knows features that the policy lacks.",
        method=f"{TUNED} At KL {KL:g} and {LARGE:g} PPO is to earn at least {LEAD:g} more.",
        lines=match_lines("tabular", "loglinear"),
        examine=leads,
        here={
            "model": "the features that make the reward",
            "policy": "a table without them",
            "data": "8 comparisons",
            "labels": "80 % of labels right",
            "gradient": "8 draws",
        },
        sides=(
            Side("model", "a table too", match_lines("tabular", "tabular")),
            Side("model", "other features", match_lines("tabular", "loglinear", truth="normal")),
            Side("policy", "the same features", match_lines("loglinear", "loglinear")),
            Side("data", "128 comparisons", match_lines("tabular", "loglinear", f"comparisons=128 {NOISY}")),
            Side("labels", "labels always right", match_lines("tabular", "loglinear", f"{FEW} {RIGHT}")),
            Side("gradient", "the exact gradient", examine=partial(leads, method="pg")),
        ),
    ),
    Claim(
        "dpo_wins_with_a_model_of_its_kind",
        "With a reward model of the policy's own kind, DPO beats PPO at equal KL.",
        method=f"{TUNED} At KL 0.3 and {KL:g} PPO is to earn less.",
        lines=match_lines("mlp", "mlp", f"{MANY} {RIGHT}"),
        examine=trails,
        here={
            "policy": "a network",
            "model": "a network too",
            "data": "64 comparisons",
            "labels": "labels always right",
            "gradient": "8 draws",
        },
        sides=(
            Side("policy", "a table, the model one too", match_lines("tabular", "tabular", f"{MANY} {RIGHT}")),
            Side("model", "the features that make the reward", match_lines("mlp", "loglinear", f"{MANY} {RIGHT}")),
            Side("data", "8 comparisons", match_lines("mlp", "mlp", f"{FEW} {RIGHT}")),
            Side("labels", "80 % of labels right", match_lines("mlp", "mlp", f"{MANY} {NOISY}")),
            Side("gradient", "the exact gradient", examine=partial(trails, method="pg")),
        ),
    ),
    Claim(
        "stopping_early_is_no_privilege_of_ppo",
        "On wrong labels PPO's early-stopped reward model wins nothing if DPO may stop early too.",
        method=f"{TUNED} The world is that of early_stop_cuts_both_ways, with 400 updates: PPO is to lead by less than "
        f"{LEAD:g} at KL 1, 2 and 4.",
        lines=sharp_lines(0.7),
        examine=stops_too,
        here={"labels": "30 % of labels wrong"},
        sides=(Side("labels", "labels always right", sharp_lines(1)),),
    ),
    Claim(
        "who_knows_more_wins",
        "The more a reward model knows beyond DPO's implicit reward, the further PPO leads.",
        method="Over 3 kinds of reward model, 8 data and 4 KL budgets, seed by seed: the rank correlation of PPO's "
        "lead with the share of couples that the model orders rightly, less that of DPO's implicit reward, is to be "
        f"above 0.3. {TUNED}",
        lines={
            "a table": f"tabular {CELLS}",
            "right features": f"loglinear {CELLS}",
            "other features": f"loglinear {CELLS}".replace("truth=linear", "truth=normal"),
        },
        examine=follows,
    ),
)  # fmt: skip
