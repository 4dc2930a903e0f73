"""Claims about reward models and PPO beside DPO: balance, steadiness, the three properties, who earns more."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lab import metrics
from lab.claims.claim import Claim, Data, Evidence, Side
from lab.claims.evidence import above, below, has, told

if TYPE_CHECKING:
    import xarray as xr

TEN = np.log(10)  # from natural logarithms to powers of ten
# The lines are those of the figures: reward_model_balances_its_two_gradients and the others of reward models and PPO.
BALANCE = {"dpo": "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24",
           "rm": "mlp s1 rm adam lr=1e-3 steps=500 seeds=24 every=5"}  # fmt: skip
CONFLICT = {
    name: f"mlp open {words} adam lr=1e-3 steps=500 seeds=24 every=20 truth=normal data=sampled comparisons=16"
    for name, words in (("dpo", "dpo beta=0.1"), ("rm", "rm"))
}
SPACES = {
    "log_probability": "both in log-probability",
    "probability": "both in probability",
    "logit": "both in the network's outputs",
    "parameter": "both in the parameters",
}
PROPERTIES = {"drop": "drastic drop", "degradation": "degradation", "dispersion": "dispersion"}
TAIL = "adam lr=0.001 steps=500 seeds=24 every=10 keep=none"
WRONG, RIGHT, DRAWN = "judge=noisy agreement=0.7", "judge=noisy agreement=1", "judge=bradley_terry"
EARLY = 0.05  # an expected reward that counts


def steady_lines(judge: str, *, policy: str = "mlp", slowed: bool = False, seeds: int = 24) -> dict[str, str]:
    """Return the two lines of held-out accuracy; `slowed` trains the reward model at beta times DPO's rate."""
    tail = f"steps=1000 seeds={seeds} every=10 keep=none data=sampled comparisons=16 {judge}"
    if policy == "mlp":
        rates, world = (1e-3, 1e-3), "truth=normal"
    else:
        rates, world = (0.05, 0.005 if slowed else 0.05), "truth=linear prompts=8 held=4"
    return {
        "dpo": f"{policy} open dpo beta=0.1 adam lr={rates[0]:g} {world} {tail}",
        "rm": f"{policy} open rm adam lr={rates[1]:g} {world} {tail}",
    }


def clock_lines(policy: str) -> dict[str, str]:
    """Return DPO and a reward model at beta^2 times its rate, both by gradient descent."""
    world = "truth=linear prompts=8 held=4" if policy == "loglinear" else "truth=normal"
    tail = f"steps=300 seeds=24 every=30 keep=none {world} data=sampled comparisons=16 judge=bradley_terry"
    return {"dpo": f"{policy} open dpo beta=0.1 sgd lr=10 {tail}", "rm": f"{policy} open rm sgd lr=0.1 {tail}"}


def earning_lines(words: str, updates: int) -> dict[str, str]:
    """Return DPO and PPO, trained long, with a reward model of so many updates."""
    # Many prompts, so that seeds differ less, and other seeds than those on which the world was chosen.
    world = f"prompts=16 truth=normal data=sampled comparisons=64 sharpness=3 {words}"
    tail = f"adam lr=0.1 steps=2000 seeds=24 seed=100 every=2000 keep=none {world}"
    return {
        "dpo": f"tabular open dpo beta=0.1,0.3,1 {tail}",
        "ppo": f"tabular open ppo beta=0.1,0.3,1 reward_from=model model_steps={updates} {tail}",
    }


def balance(data: Data, model_space: str = "log_probability", dpo_space: str = "probability") -> tuple[Evidence, ...]:
    """Ask how far the two terms of either come apart over the run."""
    apart = {}
    for name, space in (("rm", model_space), ("dpo", dpo_space)):
        norm = metrics.gradient_log_norm(data[name]).sel(space=space, drop=True) / TEN
        apart[name] = abs(norm.sel(term="rejected", drop=True) - norm.sel(term="chosen", drop=True)).max("step")
    what = "one term over the other, at most, powers of ten"
    return (
        below(f"reward model: {what}", apart["rm"], 0.1, style=".2f"),
        above(f"DPO: {what}", apart["dpo"], 1, weak=0, style=".2f"),
    )


def none_of_the_three(data: Data) -> tuple[Evidence, ...]:
    """Ask of PPO that it has none of the three properties, each a measure of its own."""
    ppo, dpo = data["ppo"], data["dpo"]
    asked = (replace(has(ppo, name, not_=True, of="PPO"), measure=words) for name, words in PROPERTIES.items())
    known = (has(dpo, name, of="DPO") for name in PROPERTIES)
    beside = tuple(replace(each, need="", answer="") for each in known)
    score = ppo["learned_reward"].isel(prompt=_places(ppo, "pair_prompt"))
    wrong = (score.max("response") > score.isel(response=_places(ppo, "chosen"))).mean("pair")
    return (*asked, *beside, told("share of pairs whose prompt has a response of higher learned reward", wrong))


def steadier(data: Data, couples: str = "not compared") -> tuple[Evidence, ...]:
    """Compare how far accuracy on couples held out ends below its peak, seed by seed."""
    lost = {}
    for name, ds in data.items():
        lost[name] = metrics.below_peak(metrics.couple_accuracy(ds, couples)).isel(step=-1, drop=True)
    return (
        above("accuracy lost from the peak, DPO minus reward model", lost["dpo"] - lost["rm"], 0.01),
        *(told(f"lost from its peak, {name}", lost[key]) for key, name in (("dpo", "DPO"), ("rm", "reward model"))),
    )


def calibrated(data: Data, couples: str = "not compared") -> tuple[Evidence, ...]:
    """Ask how well held-out preferences are predicted at the best step of each, and what is lost from there on."""
    error = {name: metrics.calibration_error(ds, couples) for name, ds in data.items()}
    names = {"rm": "reward model", "dpo": "DPO"}
    lost = {name: each.isel(step=-1, drop=True) - each.min("step") for name, each in error.items()}
    apart = error["dpo"].min("step") - error["rm"].min("step")
    what = "error of the predicted preference"
    return (
        *(above(f"{name}: {what} gained since its least", lost[key], 0.02) for key, name in names.items()),
        below(f"least {what}, DPO minus reward model", apart, 0.02),
        above(f"least {what}, DPO minus reward model", apart, -0.02),
        *(told(f"{name}: least {what}", error[key].min("step")) for key, name in names.items()),
        *(
            told(f"{name}: accuracy at the end", metrics.couple_accuracy(data[key], couples).isel(step=-1, drop=True))
            for key, name in names.items()
        ),
    )


def another_clock(data: Data) -> tuple[Evidence, ...]:
    """Compare the implicit reward with the model's at every step, each about its mean over the responses."""
    dpo, model = (metrics.implicit_rewards(data[name]) for name in ("dpo", "rm"))
    dpo, model = (each - each.mean("response") for each in (dpo, model))
    off = abs(dpo - model).max(["step", "prompt", "response"]) / abs(dpo).max(["step", "prompt", "response"])
    return (below("largest difference of the rewards over the largest reward", off, 1e-9, style=".0e"),)


def early_stop(data: Data) -> tuple[Evidence, ...]:
    """Compare what is earned at the end, each at its best beta, seed by seed."""
    gap = {}
    for name in ("wrong, early", "wrong, late", "right, early", "right, late"):
        gap[name] = best(data[f"{name}, ppo"]) - best(data[f"{name}, dpo"])
    what = "expected true reward, PPO minus DPO"
    return (
        above(f"{what}, wrong labels, model stopped early", gap["wrong, early"], EARLY),
        below(f"{what}, right labels, model stopped early", gap["right, early"], -EARLY),
        told(f"{what}, wrong labels, model trained long", gap["wrong, late"]),
        told(f"{what}, right labels, model trained long", gap["right, late"]),
    )


def best(ds: xr.Dataset) -> xr.DataArray:
    """Read the expected true reward at the end, at the beta with the largest median over seeds: [seed]."""
    reward = metrics.expected_reward(ds).mean("prompt").isel(step=-1, drop=True)
    return reward.isel(beta=reward.median("seed").argmax("beta")).drop_vars("beta")


def _places(ds: xr.Dataset, name: str) -> xr.DataArray:
    return ds[name].drop_vars(list(ds[name].coords))


CLAIMS = (
    Claim(
        "reward_model_is_balanced",
        "The two gradients of a reward model balance, those of DPO do not.",
        section="3.4",
        setting="derivation, on the rewards",
        method="The ratio of the two terms' norms is to stay below 1.26 for the reward model, on its rewards, and to "
        "exceed 10 for DPO, in probability, as the paper has it; the sides ask both in one space.",
        lines=BALANCE,
        examine=balance,
        here={"space": "each in its own space", "labels": "labels that agree"},
        sides=(
            *(
                Side("space", words, examine=partial(balance, model_space=space, dpo_space=space))
                for space, words in SPACES.items()
            ),
            Side(
                "labels",
                "labels that conflict, in the parameters",
                CONFLICT,
                examine=partial(balance, model_space="parameter", dpo_space="parameter"),
            ),
        ),
    ),
    Claim(
        "ppo_is_more_stable",
        "PPO on a learned reward is more stable: it has none of the three properties.",
        section="3.4",
        setting="argument, from the balance of the two gradients",
        method="Each property is to be absent for PPO, with a reward model of the same network on the same pairs.",
        lines={
            "dpo": f"mlp s1,s2,s3,s4 dpo beta=0.1 {TAIL}",
            "ppo": f"mlp s1,s2,s3,s4 ppo beta=0.1 reward_from=model {TAIL}",
        },
        examine=none_of_the_three,
        pick={"scenario": "s1"},
        here={"scenario": "s1"},
        sides=tuple(Side("scenario", name, pick={"scenario": name}) for name in ("s2", "s3", "s4")),
    ),
    Claim(
        "reward_model_is_steadier",
        "Over epochs a reward model's accuracy is steadier than that of DPO's implicit reward.",
        section="4.4",
        setting="language model",
        method="On couples that the data do not hold, DPO is to end more than 0.01 farther below its peak than the "
        "reward model, which is the same network on the same pairs.",
        lines=steady_lines(WRONG, seeds=96),  # with 24 the answer stays open
        examine=steadier,
        here={"labels": "30 % of labels wrong", "policy": "an MLP, couples never compared"},
        sides=(
            Side("labels", "labels always right", steady_lines(RIGHT)),
            Side("labels", "Bradley-Terry labels", steady_lines(DRAWN)),
            *(
                Side("policy", words, steady_lines(WRONG, policy="loglinear", slowed=slowed),
                     examine=partial(steadier, couples="new prompts"))
                for words, slowed in (
                    ("log-linear features, new prompts", False),
                    ("log-linear features, new prompts, the model at β times the rate", True),
                )
            ),
        ),
    ),
    Claim(
        "calibration_is_lost_by_both",
        "Reward model and DPO predict held-out preferences alike at best, and then lose calibration.",
        method="Distance of the predicted from the true probability that one response beats another, on couples that "
        "the data do not hold: the least over the steps is to differ by less than 0.02, and both are to end more than "
        "0.02 above theirs.",
        lines=steady_lines(DRAWN),
        examine=calibrated,
        here={"policy": "an MLP, couples never compared", "labels": "Bradley-Terry labels"},
        sides=(
            Side("policy", "log-linear features, new prompts", steady_lines(DRAWN, policy="loglinear"),
                 examine=partial(calibrated, couples="new prompts")),
            Side("labels", "30 % of labels wrong", steady_lines(WRONG)),
        ),
    ),
    Claim(
        "reward_model_is_dpo_on_another_clock",
        "Where rewards are linear, a reward model is DPO's implicit reward on another clock.",
        method="Under gradient descent the reward model gets β² times DPO's rate; their rewards, each about the mean "
        "of its prompt, are to agree at every step to 1e-9 of the largest.",
        lines=clock_lines("loglinear"),
        examine=another_clock,
        here={"policy": "log-linear features"},
        sides=(Side("policy", "a table", clock_lines("tabular")), Side("policy", "an MLP", clock_lines("mlp"))),
    ),
    Claim(
        "early_stop_cuts_both_ways",
        "A reward model stopped early helps PPO on wrong labels, harms it on right ones.",
        method=f"After 2000 updates, each at its best β, PPO is to earn at least {EARLY:g} more than DPO with 30 % of "
        f"labels wrong and at least {EARLY:g} less with right labels, where its reward model gets 10 updates.",
        lines={
            f"{name}, {method}": line
            for name, (words, updates) in {
                "wrong, early": (WRONG, 10),
                "wrong, late": (WRONG, 300),
                "right, early": (RIGHT, 10),
                "right, late": (RIGHT, 300),
            }.items()
            for method, line in earning_lines(words, updates).items()
        },
        examine=early_stop,
    ),
)  # fmt: skip
