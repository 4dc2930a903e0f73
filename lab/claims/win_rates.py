"""Whether DPO finds the optimum; win rates over the temperature, beside Best-of-N, on new prompts, by wrong judges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab import metrics
from lab.claims.claim import Claim, Data, Evidence, Side
from lab.claims.evidence import above, below, told
from lab.experiments.frontiers import best_of_n_policies, optimal_policies
from lab.experiments.ranking import at_agreement, line_up, ranked_alike, ranked_at_random, ranked_by_people

if TYPE_CHECKING:
    import xarray as xr

# The lines are those of the figures: dpo_recovers_the_optimum, heat_costs_dpo_and_ppo_alike, as_good_as_best_of_n,
# ppo_needs_the_new_prompts and errors_that_repeat_spoil_the_ranking.
WHOLE_BETA, RECOVERED = 0.5, 1e-6
WHOLE = f"tabular open dpo beta={WHOLE_BETA:g} momentum lr=30 steps=1000 seeds=24 keep=none truth=normal"
NETWORK = f"mlp open dpo beta={WHOLE_BETA:g} adam lr=1e-3 steps=4000 seeds=24 every=4000 keep=none truth=normal"
BETAS, ENDS = "beta=0.05,0.1,0.2,0.5,1,2", "beta=0.05,2"
RULES = {"tabular": "adam lr=0.05", "mlp": "adam lr=1e-3"}
SAMPLED = "data=sampled comparisons=32"
HELD = 8
NOISES = (0.3, 0.5, 0.75, 1.0, 1.5, 2.0)
AT, OFTEN = 0.75, 10_000
RANKED = 0.05  # of rank correlation: less is as well


def two(policy: str, data: str = SAMPLED, *, betas: str = BETAS, seeds: int = 24) -> dict[str, str]:
    """Write the lines of DPO and of PPO on the reward that is learned from the same data."""
    rest = f"{RULES[policy]} steps=500 seeds={seeds} every=500 keep=none truth=normal {data}".rstrip()
    words = {"dpo": f"dpo {betas}", "ppo": f"ppo {betas} reward_from=model"}
    return {name: f"{policy} open {word} {rest}" for name, word in words.items()}


def transfer(features: int, comparisons: int, steps: int = 300) -> dict[str, str]:
    """Write the lines of DPO, PPO and PPO that draws for the new prompts too, and of their reward model."""
    world = (
        f"adam lr=0.03 steps={steps} seeds=24 every={steps} keep=none prompts={2 * HELD} truth=linear data=sampled "
        f"comparisons={comparisons} held={HELD} features={features}"
    )
    betas = "beta=0.05,0.1,0.2,0.5,1"
    words = {
        "dpo": f"dpo {betas}",
        "ppo": f"ppo {betas} reward_from=model rollouts=data",
        "everywhere": f"ppo {betas} reward_from=model",
        "rm": "rm",
    }
    return {name: f"loglinear open {word} {world}" for name, word in words.items()}


def equivalence(data: Data) -> tuple[Evidence, ...]:
    """Hold the trained policy against the exact optimum."""
    last = data["dpo"].isel(step=-1, drop=True)
    best = optimal_policies(last, [WHOLE_BETA])["log_prob"].isel(beta=0, drop=True)
    whole, among = (
        metrics.divergence(best, last["log_prob"], among=mask).mean("prompt")
        for mask in (None, ~metrics.unseen_mask(last))
    )
    return (
        below("KL(optimum ‖ policy)", whole, RECOVERED, units="nats", style=".1e"),
        told("the same among the responses that are compared", among, units="nats", style=".1e"),
    )


def cold(data: Data) -> tuple[Evidence, ...]:
    """Compare the win rates of DPO and PPO at temperature 0, seed by seed."""
    rates = {name: _rate(ds, 0) for name, ds in data.items()}
    return (
        above("at temperature 0, DPO less PPO", rates["dpo"] - rates["ppo"], 0.01),
        *(told(f"{name.upper()} at temperature 0", rate) for name, rate in rates.items()),
    )


def heat(data: Data) -> tuple[Evidence, ...]:
    """Compare what temperature 1 instead of 0 costs PPO and DPO, seed by seed."""
    costs = {name: _rate(ds, 0) - _rate(ds, 1) for name, ds in data.items()}
    return (
        above("win rate lost from temperature 0 to 1, PPO less DPO", costs["ppo"] - costs["dpo"], 0.02),
        *(told(f"{name.upper()}: win rate lost from temperature 0 to 1", cost) for name, cost in costs.items()),
    )


def heat_by_beta(data: Data) -> tuple[Evidence, ...]:
    """Ask both methods whether a larger beta makes heat dearer."""
    found = []
    for name, ds in data.items():
        cost = _rate(ds, 0) - _rate(ds, 1)
        more = cost.sel(beta=2, drop=True) - cost.sel(beta=0.05, drop=True)
        found.append(above(f"{name.upper()}: win rate lost to temperature 1, β = 2 less β = 0.05", more, 0.01))
    return tuple(found)


def best_of_128(data: Data) -> tuple[Evidence, ...]:
    """Compare win rates against the chosen responses with Best-of-128 by the learned reward."""
    ends = {name: ds.isel(step=-1, drop=True) for name, ds in data.items()}
    pairs = ends["ppo"][["pair_weight", "pair_prompt", "chosen", "rejected"]]
    best = best_of_n_policies(ends["ppo"], [128], by="learned_reward").isel(draws=0, drop=True)
    rates = {name: metrics.win_rate_against_chosen(ds["log_prob"], ds) for name, ds in ends.items()}
    rates["best"] = metrics.win_rate_against_chosen(best["log_prob"], best.merge(pairs, compat="override"))
    return (
        above("win rate against the chosen, DPO less Best-of-128", rates["dpo"] - rates["best"], -0.05),
        told("DPO", rates["dpo"]),
        told("Best-of-128 by the learned reward", rates["best"]),
        told("PPO on the learned reward", rates["ppo"]),
    )


def new_prompts(data: Data, rival: str = "ppo") -> tuple[Evidence, ...]:
    """Compare win rates on prompts without data."""
    rates = {name: _by_prompt(ds, 1).isel(prompt=slice(-HELD, None)).mean("prompt") for name, ds in data.items()
             if name != "rm"}  # fmt: skip
    words = "PPO" if rival == "ppo" else "PPO that draws for them too"
    right = metrics.couple_accuracy(data["rm"], "new prompts").isel(step=-1, drop=True)
    return (
        above(f"win rate on new prompts, DPO less {words}", rates["dpo"] - rates[rival], 0.02),
        told("DPO", rates["dpo"]),
        told(words, rates[rival]),
        told("couples of new prompts that the reward model orders rightly", right),
    )


def new_prompts_drawn_for(data: Data) -> tuple[Evidence, ...]:
    """The same against PPO that draws for the new prompts too."""
    return new_prompts(data, "everywhere")


def judges(data: Data) -> tuple[Evidence, ...]:
    """Compare the rankings of two judges that are right as often."""
    policies = line_up(data)
    random = ranked_at_random(policies, [AT], OFTEN).isel(agreement=0, drop=True)
    alike = at_agreement(ranked_alike(policies, NOISES), AT)
    asked = f"right {AT:.0%} of the time".replace("%", " %")
    return (
        above(f"rank correlation with the truth, judges {asked}, random errors less own ones", random - alike, 0.1),
        told(f"errors at random, {OFTEN} comparisons a policy", random),
        told("errors of the judge's own, in every comparison alike", alike),
    )


def stands_in(data: Data) -> tuple[Evidence, ...]:
    """Ask of a judge who is right as often as people are whether he ranks policies as well, by either kind of error."""
    policies = line_up(data)
    labels = metrics.labeller_agreement(policies["reward"], policies["reference_log_prob"]).mean("prompt")
    right = float(labels.median())
    people = ranked_by_people(policies, OFTEN)
    random = ranked_at_random(policies, [right], OFTEN).isel(agreement=0, drop=True)
    alike = at_agreement(ranked_alike(policies, NOISES), right)
    what = "rank correlation with the truth, less that of people"
    return (
        above(f"{what}: errors at random", random - people, -RANKED, measure="errors at random"),
        above(f"{what}: errors of the judge's own", alike - people, -RANKED, measure="errors that repeat"),
        told(f"people, {OFTEN} labels a policy: rank correlation with the truth", people),
        told("how often people are right", labels),
    )


def _by_prompt(ds: xr.Dataset, temperature: float) -> xr.DataArray:
    last = ds.isel(step=-1, drop=True)
    policy = metrics.tempered(last["log_prob"], [temperature]).isel(temperature=0, drop=True)
    return metrics.win_rate(policy, last["reference_log_prob"], last["reward"])


def _rate(ds: xr.Dataset, temperature: float) -> xr.DataArray:
    """Read the win rate against the reference."""
    return _by_prompt(ds, temperature).mean("prompt")


SMALL = {"beta": 0.1}
ELSEWHERE = (
    Side("policy", "a network", two("mlp")),
    Side("β", "β = 0.5", pick={"beta": 0.5}),
    Side("β", "β = 2", pick={"beta": 2.0}),
    Side("data", "256 comparisons", two("tabular", "data=sampled comparisons=256")),
)
HERE = {"policy": "a table", "β": "β = 0.1", "data": "32 comparisons"}
TEMPERATURES = "summaries of Reddit posts (TL;DR), judged by GPT-4, sampling temperatures 0 to 1"

CLAIMS = (
    Claim(
        "dpo_recovers_the_optimum",
        "Trained on Bradley-Terry comparisons, DPO arrives at the optimum of the RLHF objective.",
        section="4, 5.1",
        setting="theory: infinitely many comparisons, a policy that can be anything",
        paper="DPO",
        method=f"KL of the exact optimum from the trained policy is to end below {RECOVERED:g} nats.",
        lines={"dpo": f"{WHOLE} every=10"},
        examine=equivalence,
        here={"coverage": "all responses are compared", "labels": "labels follow the Bradley-Terry odds",
              "data": "comparisons are infinitely many", "policy": "a table"},
        sides=(
            Side("coverage", "5 of 10 responses", {"dpo": f"{WHOLE} every=10 coverage=5"}),
            Side("coverage", "9 of 10 responses", {"dpo": f"{WHOLE} every=1000 coverage=9"}),
            Side("labels", "labels right 80 % of the time", {"dpo": f"{WHOLE} every=10 judge=noisy agreement=0.8"}),
            Side("labels", "labels always right", {"dpo": f"{WHOLE} every=10 judge=noisy agreement=1"}),
            Side("data", "256 comparisons a prompt", {"dpo": f"{WHOLE} every=1000 data=sampled comparisons=256"}),
            Side("policy", "a network under Adam", {"dpo": NETWORK}),
        ),
    ),
    Claim(
        "dpo_wins_when_cold",
        "At sampling temperature 0 DPO wins more often than PPO.",
        section="6.2",
        setting=TEMPERATURES,
        paper="DPO",
        method="Win rate against the reference by the true reward: DPO is to be 0.01 ahead of PPO on a learned reward.",
        lines=two("tabular"),
        examine=cold,
        pick=SMALL,
        here=HERE,
        sides=ELSEWHERE,
    ),
    Claim(
        "dpo_stands_heat_better",
        "A higher sampling temperature costs PPO more of its win rate than DPO.",
        section="6.2",
        setting=TEMPERATURES,
        paper="DPO",
        method="Win rate lost from temperature 0 to 1: PPO is to lose 0.02 more than DPO, seed by seed, at one beta.",
        lines=two("tabular"),
        examine=heat,
        pick=SMALL,
        here=HERE,
        sides=ELSEWHERE,
    ),
    Claim(
        "small_beta_stands_heat",
        "The larger β, the more win rate DPO and PPO lose to heat.",
        method="Win rate lost from temperature 0 to 1 is to be larger by 0.01 at beta 2 than at beta 0.05, for both.",
        lines=two("tabular", betas=ENDS, seeds=48),
        examine=heat_by_beta,
        here={"policy": "a table"},
        sides=(Side("policy", "a network", two("mlp", betas=ENDS, seeds=48)),),
    ),
    Claim(
        "dpo_keeps_up_with_best_of_128",
        "Against the preferred completions DPO wins about as often as Best-of-128.",
        section="6.2",
        setting="single-turn dialogue (Anthropic HH), judged by GPT-4, Best-of-128 of Preferred-FT",
        paper="DPO",
        method="Win rate against the chosen: DPO is to be at most 0.05 behind Best-of-128 by the learned reward.",
        lines=two("tabular"),
        examine=best_of_128,
        pick=SMALL,
        here=HERE,
        sides=(*ELSEWHERE, Side("data", "the whole population", two("tabular", ""))),
    ),
    Claim(
        "dpo_holds_on_new_prompts",
        "On new prompts DPO keeps more of its win rate than PPO.",
        section="6.3",
        setting="policies trained on Reddit posts (TL;DR), tested on news (CNN/DailyMail)",
        paper="DPO",
        method="Win rate on prompts without comparisons that share their features: DPO is to be 0.02 ahead of PPO.",
        lines=transfer(64, 32),
        examine=new_prompts,
        pick=SMALL,
        here={
            "features": "64 features",
            "rollouts": "PPO draws for prompts with data only",
            "β": "β = 0.1",
            "updates": "300 updates",
        },
        sides=(
            Side("features", "16 features", transfer(16, 16)),
            Side("rollouts", "PPO draws for the new prompts too, without labels", examine=new_prompts_drawn_for),
            Side("β", "β = 0.5", pick={"beta": 0.5}),
            Side("β", "β = 1", pick={"beta": 1.0}),
            Side("updates", "3000 updates", transfer(64, 32, 3000)),
            Side("updates", "3000 updates at β = 0.5", transfer(64, 32, 3000), {"beta": 0.5}),
        ),
    ),
    Claim(
        "proxy_judge_stands_in_for_people",
        "A proxy judge that is right as often as people ranks methods as well.",
        section="6.4",
        setting="GPT-4 as the judge of Reddit summaries (TL;DR), beside human labels",
        paper="DPO",
        method="People label by Bradley-Terry, the judge is right as often on two draws of the reference. Over 13 "
        f"policies his rank correlation with the truth is to be less than {RANKED:g} below theirs.",
        lines=two("tabular"),
        examine=stands_in,
        here={"policy": "a table"},
        sides=(Side("policy", "a network", two("mlp")),),
    ),
    Claim(
        "errors_that_repeat_spoil_the_ranking",
        "A judge's repeated errors spoil its ranking of policies; as many random errors need not.",
        method=f"Rank correlation with the true ranking, of judges right {AT:.0%} of the time: random errors, asked "
        f"{OFTEN} times, are to be 0.1 ahead.".replace("%", " %"),
        lines=two("tabular"),
        examine=judges,
    ),
)  # fmt: skip
