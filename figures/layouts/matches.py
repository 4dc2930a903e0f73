"""Who wins over four axes at once: a map of blocks, each cell in the colour of the method that is ahead, or grey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from figures.layouts.methods import METHODS
from lab import plots
from lab.experiments.costs import Cost

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap

OPEN = "#D4D4D4"  # the interval holds 0
FULL = 0.3  # of reward: from here on the colour is full


class Price(NamedTuple):
    """What one setting of a method spends, and its seconds over DPO's: median, low, high."""

    cost: Cost
    seconds: tuple[np.ndarray, np.ndarray, np.ndarray]


MODELS = {"dpo": "2: policy, reference", "ppo": "4: + reward model, critic"}


def block_map(
    median: xr.DataArray,
    low: xr.DataArray,
    high: xr.DataArray,
    ax: Axes,
    *,
    across: tuple[str, str],
    up: tuple[str, str],
    words: tuple[Sequence[str], Sequence[str], Sequence[str], Sequence[str]],
) -> Axes:
    """Draw what PPO is ahead of DPO over four axes: blocks of the first of each pair, cells of the second.

    Args:
        median: PPO's reward less DPO's, the median over seeds, of these four dimensions.
        low: The lower end of its interval.
        high: The upper end.
        ax: Axes to draw in.
        across: The dimensions of blocks and of cells from left to right.
        up: The same from bottom to top.
        words: Words of the blocks across, of the cells across, of the blocks up and of the cells up.

    Returns:
        The axes.
    """
    order = (*up, *across)
    value, lower, upper = (each.transpose(*order) for each in (median, low, high))
    rows, columns = (value.sizes[block] * value.sizes[cell] for block, cell in (up, across))
    shape = (rows, columns)
    colors = _colors()(np.clip(value.values / FULL, -1, 1).reshape(shape) / 2 + 0.5)
    undecided = ~((lower.values > 0) | (upper.values < 0)).reshape(shape)
    colors[undecided] = _rgba(OPEN)
    ax.imshow(colors, origin="lower", aspect="auto", interpolation="nearest")
    inner = (value.sizes[across[1]], value.sizes[up[1]])
    for side, count, size in zip("xy", (columns, rows), inner, strict=True):
        line = ax.axvline if side == "x" else ax.axhline
        for place in range(1, count):
            line(place - 0.5, color="white", linewidth=3.0 if place % size == 0 else 0.6)
    ax.set_xticks(range(columns), list(words[1]) * value.sizes[across[0]], fontsize="x-small")
    ax.set_yticks(range(rows), list(words[3]) * value.sizes[up[0]], fontsize="x-small")
    for place, word in enumerate(words[0]):
        ax.text((place + 0.5) * inner[0] - 0.5, -0.5, f"\n{word}", fontsize="small", ha="center", va="top")
    for place, word in enumerate(words[2]):
        ax.annotate(
            word, (0, (place + 0.5) * inner[1] - 0.5), xycoords=("axes fraction", "data"), xytext=(-24, 0),
            textcoords="offset points", rotation=90, fontsize="small", ha="right", va="center",
        )  # fmt: skip
    ax.tick_params(length=0, pad=2)
    ax.spines[:].set_visible(False)
    return ax


def winners_scale() -> ScalarMappable:
    """Return what a colour bar of such maps explains."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    return ScalarMappable(Normalize(-FULL, FULL), _colors())


def chosen_map(betas: Sequence[xr.DataArray], knobs: Sequence[xr.DataArray], ax: Axes) -> Axes:
    """Draw how often each setting was chosen, in percent.

    Args:
        betas: The chosen β of every map, any dimensions.
        knobs: What else was chosen there, of the same dimensions.
        ax: Axes to draw in.

    Returns:
        The axes.
    """
    first, second = (
        np.concatenate([each.transpose(*betas[i].dims).values.ravel() for i, each in enumerate(given)])
        for given in (betas, knobs)
    )
    columns, rows = np.unique(first), np.unique(second)
    share = np.array([[((first == x) & (second == y)).mean() for x in columns] for y in rows])
    ax.imshow(share, origin="lower", aspect="auto", cmap="Greys", vmin=0, vmax=max(0.4, share.max()))
    for (row, column), value in np.ndenumerate(share):
        ink = "white" if value > 0.22 else "black"
        ax.text(column, row, f"{100 * value:.0f}", ha="center", va="center", fontsize="x-small", color=ink)
    ax.set_xticks(range(len(columns)), [f"{each:g}" for each in columns], fontsize="x-small")
    ax.set_yticks(range(len(rows)), [f"{each:g}" for each in rows], fontsize="x-small")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax


def lead_by_knowledge(
    known: Mapping[str, xr.DataArray], lead: Mapping[str, xr.DataArray], marks: Mapping[str, plots.Role], ax: Axes
) -> float:
    """Draw every cell by what its reward model knows more than DPO, and by PPO's lead.

    Args:
        known: Share of couples that the model orders rightly less that of DPO's implicit reward, by the name of a map.
        lead: PPO's reward less DPO's, of the same dimensions.
        marks: How each map is marked.
        ax: Axes to draw in.

    Returns:
        The rank correlation of the two over all cells; NaN if one does not vary.
    """
    from scipy.stats import spearmanr

    x, y = [], []
    for name, role in marks.items():
        x.append(known[name].values.ravel())
        y.append(lead[name].transpose(*known[name].dims).values.ravel())
        ax.plot(
            x[-1], y[-1], linestyle="none", marker=role.marker, markersize=3.5, color=role.color, alpha=0.6,
            markeredgewidth=0, label=role.label,
        )  # fmt: skip
    ax.axhline(0, color="#555555", linewidth=0.6)
    ax.axvline(0, color="#555555", linewidth=0.6)
    found = float(spearmanr(np.concatenate(x), np.concatenate(y)).statistic)
    plots.panel(ax, "Who knows more wins", about=f"a mark a cell, all prompts;\nrank correlation {found:.2f}")
    ax.set_xlabel("couples ordered rightly, reward model\nless DPO's implicit reward")
    ax.set_ylabel("PPO's reward less DPO's")
    ax.set_xlim(min(map(np.min, x)) - 0.1, max(map(np.max, x)) + 0.02)
    ax.legend(fontsize="x-small", frameon=False, loc="upper left", handletextpad=0.1, borderaxespad=0.1)
    return found


def price_table(prices: Mapping[str, Mapping[str, Price]], ax: Axes) -> Axes:
    """Write what one setting of DPO and of PPO costs, a row for each policy and method.

    Args:
        prices: By the word of a policy, then by dpo and ppo.
        ax: Axes to write in.

    Returns:
        The axes.
    """
    heads = ("", "models in memory", "passes", "drawn of\na prompt", "seconds,\nDPO = 1")
    places, sides = (0.0, 0.25, 0.75, 0.88, 1.1), ("left", "left", "right", "right", "right")
    rows = [
        (f"{METHODS[name].label}, {policy}", MODELS[name], str(each.cost.passes), f"{each.cost.drawn:.0f}",
         _times(each.seconds))
        for policy, methods in prices.items() for name, each in methods.items()
    ]  # fmt: skip
    ax.set_axis_off()
    ax.set(xlim=(0, 1.1), ylim=(-len(rows) + 0.4, 1.5))
    for head, x, side in zip(heads, places, sides, strict=True):
        ax.text(x, 1.4, head, fontsize="x-small", color="#555555", va="top", ha=side)
    for line, row in enumerate(rows):
        ax.axhline(0.45 - line, color="#DDDDDD", linewidth=0.6)
        for word, x, side in zip(row, places, sides, strict=True):
            ax.text(x, -line, word, fontsize="x-small", va="center", ha=side)
    return ax


def _times(seconds: tuple[np.ndarray, np.ndarray, np.ndarray]) -> str:
    median, low, high = (float(each) for each in seconds)
    return f"{median:.1f}" if low == high else f"{median:.1f} [{low:.1f}, {high:.1f}]"


def _colors() -> Colormap:
    from matplotlib.colors import LinearSegmentedColormap

    # A winner by little is still told from an open cell: the ends meet in two light tints, not in white.
    dpo, ppo = METHODS["dpo"].color, METHODS["ppo"].color
    stops = [(0, dpo), (0.5, "#C9C4FA"), (0.5, "#F5BFD3"), (1, ppo)]
    return LinearSegmentedColormap.from_list("dpo or ppo", stops)


def _rgba(color: str) -> tuple[float, float, float, float]:
    from matplotlib.colors import to_rgba

    return to_rgba(color)
