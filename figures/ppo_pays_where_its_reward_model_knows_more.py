"""When a reward model with PPO is worth its price: who earns more over coverage, label noise, model error and KL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from figures.layouts.matches import Price, block_map, chosen_map, lead_by_knowledge, price_table, winners_scale
from figures.layouts.methods import METHODS
from figures.machinery import Drawing, Figure, Page
from figures.machinery.measured import measured
from lab import plots
from lab.experiments.costs import spent
from lab.experiments.experiment import Experiment
from lab.experiments.matches import dpo_beside, play
from lab.experiments.winners import by_prompts, settle
from lab.intervals import interval_over_seeds, median_interval

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as MplFigure

MESSAGE = (
    "A reward model with PPO is worth its price only where the model knows what the policy cannot learn: one of the "
    "policy's own kind does not beat DPO"
)
PLAIN = "PPO on a learned reward less DPO from the same data, at equal KL, over coverage, label noise and comparisons"
CLOCK = "frontier_is_reached_without_drawing"
TABLE = (
    "adam lr=0.05 steps=250 seeds=40 every=250 keep=none truth={} data=sampled comparisons={} judge=noisy "
    "agreement=0.6,0.8,1 coverage={}"
)
NETWORK = (
    "adam lr={} steps={} seeds=40 every={} keep=none prompts=6 truth=linear data=sampled comparisons=8,64 judge=noisy "
    "agreement=0.7,1 held=2"
)
LINES = {
    "own": f"tabular open rm {TABLE.format('linear', '8,32,128', '3,6,10')}",
    "right": f"loglinear open rm {TABLE.format('linear', '8,32,128', '3,6,10')}",
    "wrong": f"loglinear open rm {TABLE.format('normal', '8,32,128', '3,10')}",
    "network own": f"mlp open rm {NETWORK.format('1e-3', 400, 400)}",
    "network right": f"loglinear open rm {NETWORK.format('0.05', 250, 250)}",
}
TITLES = {
    "own": "Table; model:\na table too",
    "right": "Table; model: the features\nthat make the reward",
    "wrong": "Table; model:\nother features",
    "network own": "Network; model:\na network too",
    "network right": "Network; model:\nthe right features",
}
MARKS = {
    "own": plots.Role("table, own kind", "#555555", marker="o"),
    "network own": plots.Role("network, own kind", "#555555", marker="s"),
    "right": plots.Role("table, right features", METHODS["ppo"].color, marker="^"),
    "network right": plots.Role("network, right features", METHODS["ppo"].color, marker="D"),
    "wrong": plots.Role("table, other features", METHODS["dpo"].color, marker="v"),
}
POLICY = {"tabular": "table", "mlp": "network"}
HELD = 2
READ_AT = 1.0
# Of a lead on another machine: where two settings are nearly as good, rounding decides which is chosen.
DRIFT = {"own": 0.06, "right": 0.06, "wrong": 0.06, "network own": 0.15, "network right": 0.15}
CHANCE, OFTEN = 0.05, 0.25  # shares of cells: as many fall to a side by chance; what counts as often


@dataclass(frozen=True)
class Training:
    """What is tuned in a policy: β and rates of DPO, β and lengths of the reward model of PPO."""

    betas: tuple[float, ...]
    rates: tuple[float, ...]
    lengths: tuple[int, ...]
    budgets: tuple[float, ...]
    every: int
    dtype: str


STEPS = 200
OF_TABLE = Training((0.03, 0.3, 1, 3), (0.02, 0.05, 0.1), (10, 50, 250), (0.1, 0.3, 1.0, 2.0), 20, "float64")
OF_NETWORK = Training((0.1, 1), (3e-4, 1e-3, 3e-3), (25, 100, 400), (0.1, 0.3, 1.0), 10, "float32")


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw the maps of winners, what the model knows more than DPO, what was chosen in tuning, and the price."""
    settled = {name: settle(_played(name, ds)) for name, ds in data.items()}
    ahead = {name: by_prompts(each["ahead"], HELD if "network" in name else 0) for name, each in settled.items()}
    maps = {name: interval_over_seeds(each) for name, each in ahead.items()}
    shares = {
        (name, str(where)): _shares(*(each.sel(prompts=where) for each in maps[name]))
        for name in maps for where in maps[name][0]["prompts"].values
    }  # fmt: skip
    known = {name: (each["ppo_agreement"] - each["dpo_agreement"]).median("seed") for name, each in settled.items()}
    seeds = settled["own"].sizes["seed"]
    figure = page.blank(
        aspect=1.42, title=MESSAGE if _established(shares) else PLAIN,
        note=f"a cell: median over {seeds} seeds of PPO's true reward less DPO's, either with the best of its settings "
        f"by the mean of {data['own'].sizes['seed'] - seeds} other seeds: β and rate of DPO, β and length of the "
        "reward model's training, 12 each in tables, 6 in networks; a run stops where its KL gets to the budget, or "
        f"after {STEPS} updates; coloured where the 95 % bootstrap interval does not hold 0",
    )  # fmt: skip
    axes = _panels(figure)
    for letter, name in zip("ABC", ("own", "right", "wrong"), strict=True):
        about = f"{_said(shares[name, 'compared'])}\n{_right(settled[name])}"
        _table_map(name, maps[name], about, axes[letter], first=letter == "A")
    for letter, name in zip("DE", ("network own", "network right"), strict=True):
        _network_map(name, maps[name], shares, axes[letter], first=letter == "D")
    bar = figure.colorbar(
        winners_scale(), ax=[axes[each] for each in "ABC"], location="right", shrink=0.8, pad=0.01, aspect=30,
        label="reward at equal KL:  ← DPO ahead · PPO ahead →",
    )  # fmt: skip
    bar.outline.set_visible(False)
    lead = {name: each["ahead"].mean("prompt").median("seed") for name, each in settled.items()}
    correlation = lead_by_knowledge(known, lead, MARKS, axes["F"])
    for letter, name, knob in (("G", "dpo", "lr"), ("H", "ppo", "length")):
        kinds = [each for key, each in settled.items() if "network" not in key]
        chosen_map([each[f"{name}_beta"] for each in kinds], [each[f"{name}_{knob}"] for each in kinds], axes[letter])
        plots.panel(axes[letter], METHODS[name].label, about="chosen, % of cells")
        axes[letter].set(xlabel="β", ylabel="rate" if name == "dpo" else "model's updates")
    prices = {policy: _price(policy) for policy in ("tabular", "mlp")}
    price_table({POLICY[policy]: each for policy, each in prices.items()}, axes["I"])
    return Drawing(
        figure=figure,
        alt=_alt(shares, maps, prices),
        data=_table(maps, settled),
        numbers={
            **{f"median lead of PPO at KL {READ_AT:g}, {name}, {where}": (_lead(maps[name], where), DRIFT[name])
               for name, where in shares},
            **{f"share of cells that {who} wins, {name}, {where}": (share, 0.2)
               for (name, where), pair in shares.items() for who, share in zip(("DPO", "PPO"), pair, strict=True)},
            **({"rank correlation of lead and knowledge": (correlation, 0.15)} if np.isfinite(correlation) else {}),
        },
    )  # fmt: skip


def _panels(figure: MplFigure) -> dict[str, Axes]:
    """Open three rows of panels, each with columns of its own width."""
    rows = figure.add_gridspec(3, 1, height_ratios=[1.25, 1.1, 0.6])
    axes = {}
    for row, (letters, widths) in enumerate((("ABC", (9, 9, 6)), ("DEF", (4, 4, 7)), ("GHI", (4, 4, 9)))):
        inside = rows[row].subgridspec(1, len(letters), width_ratios=widths)
        axes |= {letter: figure.add_subplot(inside[column]) for column, letter in enumerate(letters)}
    return axes


def _played(name: str, ds: xr.Dataset) -> xr.Dataset:
    """Play every cell of a map beside the reward model's line, with the seeds of its record."""
    model = Experiment.parse(ds.attrs["experiment"])
    of = OF_NETWORK if "network" in name else OF_TABLE
    beside = dpo_beside(
        model, policy="mlp" if "network" in name else "tabular", betas=of.betas, rates=of.rates, steps=STEPS,
        every=of.every, dtype=of.dtype,
    )  # fmt: skip
    lengths = OF_TABLE.lengths if model.policy == ("loglinear",) else of.lengths
    return play(beside, model, lengths=lengths, budgets=of.budgets)


def _shares(median: xr.DataArray, low: xr.DataArray, high: xr.DataArray) -> tuple[float, float]:
    """Return the shares of cells in which DPO, and in which PPO, is ahead for sure."""
    return float((high < 0).mean()), float((low > 0).mean())


def _established(shares: Mapping[tuple[str, str], tuple[float, float]]) -> bool:
    """Whether models of the policy's kind win by chance only, the right features often, and the wrong ones never."""
    own = [shares[name, "compared"] for name in ("own", "network own")]
    right = [shares["right", "compared"], shares["network right", "new"]]
    return (
        all(ppo <= CHANCE and dpo > OFTEN for dpo, ppo in (*own, shares["wrong", "compared"]))
        and all(ppo > OFTEN and ppo > dpo for dpo, ppo in right)
    )  # fmt: skip


def _right(settled: xr.Dataset) -> str:
    """Say how right the reward model is, from the worst cell to the best."""
    each = 100 * settled["ppo_agreement"].median("seed")
    return f"model right on {float(each.min()):.0f} to {float(each.max()):.0f} %"


def _table_map(name: str, parts: list[xr.DataArray], about: str, ax: Axes, *, first: bool) -> None:
    median, low, high = (each.sel(prompts="compared", drop=True) for each in parts)
    block_map(
        median, low, high, ax, across=("coverage", "agreement"), up=("budget", "comparisons"),
        words=(
            [f"{int(each)} of 10" for each in median["coverage"].values],
            [f"{100 * each:.0f}" for each in median["agreement"].values],
            [f"KL {each:g}" if first else "" for each in median["budget"].values],
            [f"{int(each)}" if first else "" for each in median["comparisons"].values],
        ),
    )  # fmt: skip
    plots.panel(ax, TITLES[name], about=about)
    ax.set_xlabel("% of labels right, by responses covered" if first else "", labelpad=16)
    ax.set_ylabel("comparisons of a prompt, by KL budget" if first else "", labelpad=26)


def _network_map(
    name: str, parts: list[xr.DataArray], shares: Mapping[tuple[str, str], tuple[float, float]], ax: Axes, *,
    first: bool,
) -> None:  # fmt: skip
    median, low, high = (each.stack(row=("prompts", "budget"), create_index=False) for each in parts)
    wide = [each.expand_dims("one") for each in (median, low, high)]
    block_map(
        *wide, ax, across=("comparisons", "agreement"), up=("one", "row"),
        words=(
            [f"{int(each)} comp." for each in median["comparisons"].values],
            [f"{100 * each:.0f}" for each in median["agreement"].values],
            [""],
            [f"{'new' if str(where) == 'new' else 'data'}, KL {budget:g}" if first else ""
             for where, budget in zip(median["prompts"].values, median["budget"].values, strict=True)],
        ),
    )  # fmt: skip
    ax.axhline(parts[0].sizes["budget"] - 0.5, color="white", linewidth=3)
    plots.panel(
        ax,
        TITLES[name],
        about="\n".join(
            f"{word}: {_said(shares[name, where])}" for where, word in (("compared", "data"), ("new", "new"))
        ),
    )
    ax.set_xlabel("% of labels right, by comparisons" if first else "", labelpad=16)


def _said(share: tuple[float, float]) -> str:
    return f"DPO ahead {100 * share[0]:.0f} %, PPO {100 * share[1]:.0f} %"


def _price(policy: str) -> dict[str, Price]:
    """Count what one setting of either method spends, and read what its updates took when they were timed."""
    of = OF_TABLE if policy == "tabular" else OF_NETWORK
    rest = f"adam lr=0.1 steps={STEPS} truth=linear data=sampled"
    lines = {
        "dpo": f"{policy} open dpo beta=0.1 {rest}",
        "ppo": f"{policy} open ppo beta=0.1 {rest} reward_from=model model_steps={of.lengths[-1]}",
    }
    clock = measured(CLOCK)
    each = {name: _per_update(clock, policy, name) for name in lines}
    whole = {"dpo": STEPS * each["dpo"][0], "ppo": STEPS * each["ppo"][0] + of.lengths[-1] * each["ppo"][1]}
    return {
        name: Price(spent(line, STEPS), median_interval(whole[name] / whole["dpo"], 0)) for name, line in lines.items()
    }


def _per_update(clock: Mapping, policy: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the seconds of an update of the policy, and of one of a reward model, round by round."""
    line = Experiment.parse(clock["lines"][f"{policy} {name}"])
    before, training = (np.array(clock["seconds"][f"{policy} {name}"][part]) for part in ("before", "training"))
    drawing = np.array(clock["seconds"][f"{policy} dpo"]["before"])  # the data alone
    updates = line.value("model_steps") if name == "ppo" else 1
    return training / line.value("steps"), np.maximum(before - drawing, 0) / updates


def _lead(parts: list[xr.DataArray], where: str) -> float:
    return float(parts[0].sel(prompts=where, budget=READ_AT).median())


def _alt(
    shares: Mapping[tuple[str, str], tuple[float, float]], maps: Mapping[str, list[xr.DataArray]],
    prices: Mapping[str, Mapping[str, Price]],
) -> str:  # fmt: skip
    parts = "; ".join(
        f"{TITLES[name]}, {'new prompts' if where == 'new' else 'prompts with comparisons'}: {_said(share)} of "
        f"{maps[name][0].sel(prompts=where).size} cells, the median lead of PPO at KL {READ_AT:g} is "
        f"{_lead(maps[name], where):+.2f}".replace("\n", " ")
        for (name, where), share in shares.items()
    )
    cost = "; ".join(
        f"{'table' if policy == 'tabular' else 'network'}: PPO {each['ppo'].cost.passes} passes and "
        f"{each['ppo'].cost.drawn:.0f} drawn responses of a prompt, DPO {each['dpo'].cost.passes} and none"
        for policy, each in prices.items()
    )
    return f"Maps of who earns more true reward at equal KL from the same data. {parts}. Price: {cost}."


def _table(maps: Mapping[str, list[xr.DataArray]], settled: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    """Write every cell: what PPO is ahead, with its interval, what was chosen, and how right both rewards are."""
    import pandas as pd
    import xarray as xr

    rows = []
    for name, (median, low, high) in maps.items():
        of = settled[name]
        beside = {each: of[each] for each in ("dpo_beta", "dpo_lr", "ppo_beta", "ppo_length")}
        beside |= {each: of[each].median("seed") for each in ("dpo_agreement", "ppo_agreement")}
        table = xr.Dataset({"y": median, "low": low, "high": high, **beside}).to_dataframe().reset_index()
        rows.append(table.assign(panel=name, series=table["prompts"], x=table["budget"], n=of.sizes["seed"]))
    return pd.concat(rows, ignore_index=True)


FIGURE = Figure(
    title=MESSAGE,
    paper="3D-Properties, section 4: PPO against DPO; Rafailov et al. 2023, section 6, PPO on a learned reward",
    lines=LINES,
    draw=draw,
)
