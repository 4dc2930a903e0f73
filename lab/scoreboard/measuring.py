"""From records to the numbers of the scoreboard: the three properties and the state of the policy at every horizon."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import xarray as xr

from lab import metrics, properties
from lab.scoreboard.entries import ENTRIES, Entry
from lab.scoreboard.settings import SETTINGS, Setting

if TYPE_CHECKING:
    import pandas as pd

# What is told of the policy at a horizon: curves [..., step] of a record, by name.
QUANTITIES: Mapping[str, Callable[[xr.Dataset], xr.DataArray]] = {
    "step": lambda ds: properties.progress(ds, "step"),
    "log_ratio_margin": lambda ds: properties.progress(ds, "log_ratio_margin"),
    "kl_from_reference": lambda ds: properties.progress(ds, "kl_from_reference"),
    "entropy": lambda ds: metrics.over_prompts(metrics.entropy(ds), ds),
    "chosen_prob": lambda ds: metrics.over_pairs(metrics.chosen_prob(ds), ds),
    "rejected_log_prob": lambda ds: metrics.over_pairs(metrics.rejected_log_prob(ds), ds),
    "rejected_prob": lambda ds: metrics.over_pairs(metrics.rejected_prob(ds), ds),
    "unseen_mass": lambda ds: metrics.over_prompts(metrics.unseen_mass(ds), ds),
    "reward_gain": lambda ds: _gain(metrics.over_prompts(metrics.expected_reward(ds), ds)),
}

END = "end"
ENDS = ("", "_low", "_high")
VALUE, STATE = ("value", "low", "high"), ("state", "state_low", "state_high")


def measure(ds: xr.Dataset, setting: Setting) -> xr.Dataset:
    """Measure one record at the horizons of its setting.

    Args:
        ds: The record of one objective, swept over `scenario`, with a true reward.
        setting: Where it was run.

    Returns:
        What `properties.verdicts_at` returns, over [property, scenario, horizon]; and over [quantity, scenario,
        horizon] state, state_low, state_high: median and interval over the seeds that get there.

    Source: `lab.properties`, `lab.metrics`; tests/test_scoreboard.py.
    """
    table = properties.verdicts_at(ds, setting.horizons)
    curves = [metric(ds).drop_attrs().transpose("scenario", "seed", "step") for metric in QUANTITIES.values()]
    stacked = xr.concat(curves, xr.DataArray(list(QUANTITIES), dims="quantity", name="quantity"), coords="minimal")
    read = properties.read_at(stacked, ds, setting.horizons)
    enough = table["verdict"].isel(property=0, drop=True) != properties.NOT_REACHED
    ends = properties.interval_of_those_there(read)
    for name, numbers in zip(STATE, ends, strict=True):
        table[name] = numbers.where(enough)
    return table


def scores(
    record: Callable[[str], xr.Dataset],
    *,
    entries: Sequence[Entry] = ENTRIES,
    settings: Sequence[Setting] = SETTINGS,
    finished: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """Measure objectives in settings.

    Args:
        record: Gives the record of an experiment line.
        entries: The objectives.
        settings: The settings.
        finished: Called with each line that is measured.

    Returns:
        A row for each objective, setting, scenario and horizon: entry, setting, line, scenario, horizon, reached, n;
        for each property NAME_verdict, NAME, NAME_low, NAME_high; for each quantity NAME, NAME_low, NAME_high.

    Raises:
        Whatever `record` raises.

    Source: `measure`; tests/test_scoreboard.py.
    """
    import pandas as pd

    rows: list[dict[str, object]] = []
    for setting in settings:
        for entry in entries:
            line = setting.line(entry)
            table = measure(record(line), setting)
            rows += _rows(table, {"entry": entry.name, "setting": setting.name, "line": line})
            finished(line)
    return pd.DataFrame(rows)


def _rows(table: xr.Dataset, head: Mapping[str, object]) -> list[dict[str, object]]:
    cells = table.transpose("scenario", "horizon", "property", "quantity")
    numbers = {str(name): cells[name].values for name in cells.data_vars}
    rows = []
    for i, scenario in enumerate(cells["scenario"].values):
        for j, horizon in enumerate(cells["horizon"].values):
            row: dict[str, object] = {
                **head,
                "scenario": str(scenario),
                # Equal steps stand first, and are another number in each setting.
                "horizon": END if j == 0 else str(horizon),
                "reached": float(numbers["reached"][i, j]),
                "n": int(numbers["n"][i, j]),
            }
            for k, name in enumerate(cells["property"].values):
                row[f"{name}_verdict"] = str(numbers["verdict"][i, j, k])
                row |= {f"{name}{end}": float(numbers[value][i, j, k]) for end, value in zip(ENDS, VALUE, strict=True)}
            for k, name in enumerate(cells["quantity"].values):
                row |= {f"{name}{end}": float(numbers[value][i, j, k]) for end, value in zip(ENDS, STATE, strict=True)}
            rows.append(row)
    return rows


def _gain(curve: xr.DataArray) -> xr.DataArray:
    return curve - curve.isel(step=0, drop=True)
