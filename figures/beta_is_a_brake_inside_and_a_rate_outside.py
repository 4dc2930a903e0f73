"""β inside the sigmoid, before the loss, and in both places as in DPO: when a larger one moves the policy more."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

BETAS = (0.05, 0.1, 0.5, 1.0)
# One hue from pale to dark, as for any scale; the words at the lines tell them apart in print.
ROLES = {
    beta: plots.Role(f"β = {beta:g}", color)
    for beta, color in zip(BETAS, ("#5CB89A", "#2F93A8", "#3B5A9A", "#2B1E3E"), strict=True)
}
RATE = 0.2  # of the three forms in a table, before any factor
EARLY = {"sgd": 50, "adam": 25}  # steps
CROSSINGS = tuple(pairwise(BETAS))
TIMES = 120
SAME = 0.02  # margins closer than this share count as equal
GENTLER, HARSHER, BOTH = "gentler", "harsher", "harsher early, gentler late"
MESSAGE = (
    "Is a larger β gentler or harsher? Inside the sigmoid it is a brake, before the loss a learning rate. "
    "DPO has both: under SGD harsher early, gentler late; under Adam, gentler"
)
PLAIN = "How far DPO moves for each β: inside the sigmoid, before the loss, and in both places"
PANELS = {
    "inside": ("Inside only", "−log σ(βΔ)/β\ntable, SGD"),
    "outside": ("Outside only", "−β log σ(Δ)\ntable, SGD"),
    "both": ("Both: DPO", "−log σ(βΔ)\ntable, SGD"),
    "sgd": ("DPO, MLP, SGD", "four prompts share\nparameters"),
    "adam": ("DPO, MLP, Adam", "Adam cancels the factor\nbefore the loss"),
}
EXPECTED = {"inside": GENTLER, "outside": HARSHER, "both": BOTH, "sgd": BOTH, "adam": GENTLER}


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw the log-ratio margin over time for each place of β, then the MLP's, then its divergence early and late."""
    parts = {
        "inside": {beta: data[f"inside {beta:g}"] for beta in BETAS},
        # Two numbers of the line that are meant to be equal may differ in their last bit.
        "outside": {beta: data["outside"].sel(lr=RATE * beta, method="nearest") for beta in BETAS},
        **{name: {beta: data[name].sel(beta=beta) for beta in BETAS} for name in ("both", "sgd", "adam")},
    }
    moved = {
        name: {beta: _moved(ds, RATE if name in ("inside", "outside", "both") else 1) for beta, ds in each.items()}
        for name, each in parts.items()
    }
    summaries = {name: {b: plots.over_seeds(v, x="time") for b, v in each.items()} for name, each in moved.items()}
    order = {name: _order(each) for name, each in summaries.items()}
    figure, axes = page.grid(
        2, 3, aspect=0.8, title=MESSAGE if order == EXPECTED else PLAIN,
        note="median and 95 % bootstrap interval, every seed faint behind; at each line its β; black dots: exact flow",
    )  # fmt: skip
    shown: dict[tuple[str, str], plots.Summary] = {}
    for (name, each), ax in zip(summaries.items(), axes.flat, strict=False):
        title, about = PANELS[name]
        for beta, summary in each.items():
            shown[f"{title}: log-ratio margin", f"beta {beta:g}"] = summary
            plots.curve(summary, ax, role=ROLES[beta], label=f"{beta:g}", seeds=name in ("sgd", "adam"))
        plots.panel(ax, title, about=f"{about}\na larger β is {order[name]}")
        last = summary.x[-1]
        in_table = name in ("inside", "outside", "both")
        _logs(ax, (1 if in_table else 10, last), (0.05, 100) if in_table else (0.5, 300))
        ax.set(ylabel="", xlabel="learning rate · steps" if in_table else "step")
        if in_table:
            time = np.geomspace(1, last, 200)
            for beta in BETAS:
                ax.plot(time, _exact(name, beta, time), color="black", linewidth=1.1, linestyle=(0, (1, 3)), zorder=4)
    axes[0, 2].plot(*zip(*(_exact_crossing(*pair) for pair in CROSSINGS), strict=True), "o", color="black", ms=3.5)
    for row in axes:
        row[0].set_ylabel("log-ratio margin (nats)")
    divergence = _divergence(data, axes[1, 2], shown)
    errors = {name: _error(name, summaries[name]) for name in ("inside", "outside", "both")}
    crossings = {pair: _crossing(summaries["both"], *pair) for pair in CROSSINGS}
    adam, sgd = divergence["adam, end"].median, divergence["sgd, end"].median
    return Drawing(
        figure=figure,
        alt=(
            f"Log-ratio margin over time for beta {', '.join(f'{beta:g}' for beta in BETAS)}, medians of "
            f"{data['both'].sizes['seed']} seeds. One pair in a table under plain SGD: with beta inside the sigmoid "
            f"alone a larger beta is {order['inside']}, before the loss alone {order['outside']}, in DPO "
            f"{order['both']}: beta 0.1 is overtaken by 0.05 at time {crossings[0.05, 0.1]:.0f} and 1 by 0.5 at "
            f"{crossings[0.5, 1.0]:.1f}. Exact curves agree within {100 * max(errors.values()):.1f} per cent. In an "
            f"MLP a larger beta is {order['sgd']} under SGD and {order['adam']} under Adam. Last panel: the divergence "
            f"from the reference; at the end under Adam {adam[0]:.2f} nats for beta 0.02 and {adam[-1]:.2f} for beta 2."
        ),
        data=plots.table(shown),
        numbers={
            **{f"crossing of β = {low:g} and {high:g}": (at, 0.03 * at) for (low, high), at in crossings.items()},
            **{f"largest relative error of the exact curve, {name}": (error, 0.02) for name, error in errors.items()},
            "KL at the end, β = 0.02, Adam": (float(adam[0]), 0.3 * float(adam[0])),
            "KL at the end, β = 2, Adam": (float(adam[-1]), 0.3 * float(adam[-1])),
            "KL at the end, β = 0.02, SGD": (float(sgd[0]), 0.3 * float(sgd[0])),
            "KL at the end, β = 2, SGD": (float(sgd[-1]), 0.3 * float(sgd[-1])),
        },
    )


def _moved(ds: xr.Dataset, rate: float) -> xr.DataArray:
    """Log-ratio margin [seed, time] at log-spaced recorded steps, time being steps times a rate."""
    last = ds.sizes["step"] - 1
    kept = np.unique(np.geomspace(1, last, TIMES).round().astype(int))
    values = metrics.over_pairs(metrics.log_ratio_margin(ds.isel(step=kept)), ds)
    values = values.drop_vars([name for name in values.coords if name not in ("seed", "step")])
    return values.assign_coords(step=rate * values["step"].values).rename(step="time")


def _order(curves: Mapping[float, plots.Summary]) -> str:
    """Say how each β compares with the next larger one, from the first time to the last."""
    words = set()
    for small, large in pairwise(curves.values()):
        share = large.median / small.median - 1
        told = np.sign(share[np.abs(share) > SAME])
        turns = tuple(told[np.flatnonzero(np.diff(told, prepend=0))])
        words.add({(-1.0,): GENTLER, (1.0,): HARSHER, (1.0, -1.0): BOTH}.get(turns, "mixed"))
    return words.pop() if len(words) == 1 else "mixed"


def _exact(name: str, beta: float, time: np.ndarray) -> np.ndarray:
    """Log-ratio margin of the gradient flow; a factor before the loss is a factor on the time."""
    if name == "outside":
        return metrics.flow_margin(1.0, beta * time)
    return metrics.flow_margin(beta, time / beta if name == "inside" else time) / beta


def _exact_crossing(small: float, large: float) -> tuple[float, float]:
    """Time and log-ratio margin at which the exact curves of two β of DPO cross."""
    time = np.geomspace(0.1, 1e4, 100_001)
    at = time[np.argmax(_exact("both", small, time) > _exact("both", large, time))]
    return float(at), float(_exact("both", large, at))


def _crossing(curves: Mapping[float, plots.Summary], small: float, large: float) -> float:
    """Training time from which on the smaller β is ahead in the runs, linearly between recorded states."""
    lead, time = curves[small].median - curves[large].median, curves[small].x
    after = int(np.argmax(lead > 0))
    return float(np.interp(0, lead[after - 1 : after + 1], time[after - 1 : after + 1]))


def _error(name: str, curves: Mapping[float, plots.Summary]) -> float:
    return max(float(np.abs(s.median[s.x > 1] / _exact(name, b, s.x[s.x > 1]) - 1).max()) for b, s in curves.items())


def _divergence(data: Mapping[str, xr.Dataset], ax: Axes, shown: dict) -> dict[str, plots.Summary]:
    """Draw KL(policy ‖ reference) over β, early and at the end, for each optimiser."""
    found = {}
    for name, early in EARLY.items():
        kl = metrics.over_prompts(metrics.kl_from_reference(data[name]), data[name]).sortby("beta")
        for when, step in (("early", early), ("end", int(kl["step"][-1]))):
            role = plots.role(name)
            values = kl.sel(step=step, drop=True)
            summary = found[f"{name}, {when}"] = shown["KL", f"{name}, step {step}"] = plots.over_seeds(
                values, x="beta"
            )
            faint = plots.Role(role.label, role.color, "dotted", marker=role.marker) if when == "early" else role
            plots.curve(summary, ax, role=faint, label=f"{role.label}\nstep {step}", seeds=False, markers=True)
    log_prob = metrics.over_pairs(metrics.reference_chosen_log_prob(data["sgd"]), data["sgd"])
    plots.panel(
        ax, "KL(policy ‖ reference)",
        about="nats, MLP; thin: all mass on the\nchosen; above it some has gone\nto unlikely responses",
    )  # fmt: skip
    _logs(ax, (0.018, 2.2), (0.01, 5))
    plots.level(-float(log_prob.mean()), ax)
    ax.set(xlabel="β", ylabel="")
    return found


def _logs(ax: Axes, x: tuple[float, float], y: tuple[float, float]) -> None:
    """Make both axes logarithmic and label them by plain numbers."""
    from matplotlib.ticker import NullLocator

    ax.set(xscale="log", yscale="log", xlim=x, ylim=y)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(lambda value, _: plots.power(np.log10(value)))
        axis.set_minor_locator(NullLocator())


LISTED = ",".join(f"{beta:g}" for beta in BETAS)
LONG = "steps=10000 seeds=24 prompts=1 every=5 keep=none"
FIGURE = Figure(
    title=PLAIN,
    paper="",
    lines={
        "both": f"tabular s1 dpo beta={LISTED} sgd lr={RATE} {LONG}",
        "outside": f"tabular s1 dpo beta=1 sgd lr={','.join(f'{RATE * beta:g}' for beta in BETAS)} {LONG}",
        **{f"inside {beta:g}": f"tabular s1 dpo beta={beta:g} sgd lr={RATE / beta:g} {LONG}" for beta in BETAS},
        "sgd": "mlp s1 dpo beta=0.02,0.05,0.1,0.2,0.5,1,2 sgd lr=0.05 steps=3000 seeds=24 every=10 keep=none",
        "adam": "mlp s1 dpo beta=0.02,0.05,0.1,0.2,0.5,1,2 adam lr=1e-3 steps=500 seeds=24 every=5 keep=none",
    },
    draw=draw,
)
