"""Exact results of the lab's own, each held against runs."""

from __future__ import annotations

from lab import metrics
from lab.claims.claim import Claim, Data, Evidence, Side
from lab.claims.evidence import above, below, told, within
from lab.claims.readings import at_level
from lab.experiments.experiment import Experiment

BETAS = "0.05,0.1,0.5,1"
FLOW = f"tabular s1,s2,s3,s4 dpo beta={BETAS} sgd lr=0.5 steps=2000 seeds=24 prompts=1 every=5"
FINE = f"tabular s1 dpo beta={BETAS} sgd lr=0.1 steps=9000 seeds=24 prompts=1 every=5"
TABLES = "tabular s1,s2,s3,s4 dpo beta=0.1 sgd lr=0.5 steps=2000 seeds=24"
TABLES_ADAM = "tabular s1,s2,s3,s4 dpo beta=0.1 adam lr=0.1 steps=500 seeds=24"
# Few, overlapping features: runs in which the chosen response of a single pair rises, and others in which it falls.
OVERLAP = "loglinear s1,s2,s3,s4 dpo beta=0.1 sgd lr=0.1 steps=1000 seeds=24 prompts=1 features=4 overlap=0.9"
# Where the log-ratio margins of two β cross under the law, in training time: a root of it, to three digits or more.
CROSSINGS = {(0.05, 0.1): 860.7, (0.1, 0.5): 94.9, (0.1, 1.0): 52.4, (0.5, 1.0): 8.61}


def margin_law(data: Data) -> tuple[Evidence, ...]:
    """Compare the training time with what the law says it takes to reach the margin."""
    ds = data["dpo"]
    line = Experiment.parse(ds.attrs["experiment"])
    trained = float(line.value("lr")) * float(line.value("steps"))
    needed = metrics.over_pairs(metrics.flow_time(ds), ds).isel(step=-1, drop=True)
    others = [dim for dim in needed.dims if dim != "seed"]
    error = abs(needed / trained - 1).max(others)
    return (below("largest relative error of the time over four β", error, 0.01, style=".4f"),)


def betas_cross(data: Data) -> tuple[Evidence, ...]:
    """Find when the log-ratio margin of the smaller β overtakes that of the larger one."""
    ds = data["dpo"]
    moved = metrics.over_pairs(metrics.log_ratio_margin(ds), ds)
    rate = float(Experiment.parse(ds.attrs["experiment"]).value("lr"))
    found = []
    for (small, large), predicted in CROSSINGS.items():
        # They start level, so the overtaking is looked for from the first recorded step on.
        lead = (moved.sel(beta=small, drop=True) - moved.sel(beta=large, drop=True)).isel(step=slice(1, None))
        time = at_level((rate * lead["step"]).broadcast_like(lead), lead, 0)
        what = f"learning rate × steps at which β = {small:g} overtakes β = {large:g}"
        found.append(within(what, time, predicted, 0.02, style=".2f"))
    return tuple(found)


def table_never_lowers(data: Data) -> tuple[Evidence, ...]:
    """Find the least change of log π⁺, and the largest rise of unseen mass where π⁺ is ahead of π⁻."""
    ds = data["dpo"]
    change = metrics.step_change(metrics.chosen_log_prob(ds))
    ahead = (metrics.chosen_log_prob(ds) >= metrics.rejected_log_prob(ds)).isel(step=slice(0, -1))
    rise = metrics.unseen_change(ds)
    over = [dim for dim in change.dims if dim != "seed"]
    return (
        above("least change of log π⁺ in a step", change.min(over), -1e-12, units="nats", style=".0e"),
        below("largest rise of unseen mass in a step from π⁺ ≥ π⁻", rise.where(ahead).max(over), 1e-12, style=".0e"),
        told("largest rise of unseen mass in a step from π⁺ < π⁻", rise.where(~ahead).max(over), style=".4f"),
    )


def interference_decides(data: Data) -> tuple[Evidence, ...]:
    """Compare, step by step, the condition with what the chosen response then does."""
    ds = data["dpo"]
    falls = metrics.step_change(metrics.over_pairs(metrics.chosen_log_prob(ds), ds)) < 0
    expected = metrics.interference(ds).isel(step=slice(0, -1)) > 1
    over = [dim for dim in falls.dims if dim != "seed"]
    return (
        above("share of steps where condition and fall agree", (falls == expected).mean(over), 0.995, style=".4f"),
        told("share of steps in which the chosen response falls", falls.mean(over)),
    )


CLAIMS = (
    Claim(
        "margin_law",
        "One pair in a table: m + exp(m) = 1 + 2β²t, whatever the start.",
        method="For four β, the time t that the law needs for the margin reached is to agree to 1 % with learning "
        "rate × steps. The law does not depend on the seed, so its interval has no width.",
        lines={"dpo": FLOW},
        examine=margin_law,
        pick={"scenario": "s1"},
        here={"scenario": "s1", "responses": "10 responses", "step size": "learning rate 0.5"},
        sides=(
            *(Side("scenario", name, pick={"scenario": name}) for name in ("s2", "s3", "s4")),
            Side("responses", "3 responses", {"dpo": f"{FLOW} responses=3"}),
            Side("step size", "learning rate 0.1", {"dpo": FINE}),
        ),
    ),
    Claim(
        "betas_cross",
        "In a table a larger β moves further early, a smaller β further late.",
        method="The smaller β is to overtake, in the margin without β, within 2 % of the time that the law gives.",
        lines={"dpo": FINE},
        examine=betas_cross,
    ),
    Claim(
        "table_never_lowers_the_chosen",
        "In a table DPO never lowers the chosen response; unseen grow only while π⁻ leads.",
        method="No step of any run is to lower log π⁺, and none from π⁺ ≥ π⁻ to raise the unseen mass, beyond rounding "
        "(1e-12).",
        lines={"dpo": TABLES},
        examine=table_never_lowers,
        here={"optimiser": "plain SGD"},
        sides=(Side("optimiser", "Adam", {"dpo": TABLES_ADAM}),),
    ),
    Claim(
        "interference_decides",
        "A small step on one pair lowers the chosen response iff ⟨g⁺,g⁻⟩ > ‖g⁺‖².",
        method="In every step of every run condition and fall are compared; they are to agree in 99.5 % of the steps.",
        lines={"dpo": OVERLAP},
        examine=interference_decides,
    ),
)
