"""From an experiment to what could have been said of its pairs before the first step, and whether it came true.

torch is imported where something is computed, so that naming the problems costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lab import intervals, metrics
from lab.experiments.experiment import Experiment

if TYPE_CHECKING:
    import xarray as xr


# The problems on which predictors are judged, by policy and optimiser: settings differ in prompts, scenario, start and
# features or width; within a setting pairs differ by what the seeds draw, and in how alike their features are.
_STARTS = ("", " on=0.2 off=0.05")
_RECORD = "seeds=24 every=5 keep=none dtype=float32"
PROBLEMS: dict[tuple[str, str], tuple[str, ...]] = {
    **{
        ("loglinear", name): tuple(
            f"loglinear s1,s2,s3,s4 dpo beta=0.1 {rule} features=8,32 overlap=0,0.3,0.6,0.9 prompts={prompts}{start} "
            f"{_RECORD}"
            for prompts in (1, 4)
            for start in _STARTS
        )
        for name, rule in (("sgd", "sgd lr=5 steps=500"), ("adam", "adam lr=0.01 steps=500"))
    },
    **{
        ("mlp", name): tuple(
            f"mlp s1,s2,s3,s4 dpo beta=0.1 {rule} width=16,64 prompts={prompts} {_RECORD}" for prompts in (2, 4)
        )
        for name, rule in (("sgd", "sgd lr=0.5 steps=1000"), ("adam", "adam lr=1e-3 steps=500"))
    },
}
EARLY = 5
# Log-ratio margins in nats that nearly every pair reaches.
MARGIN = {"loglinear": 1.0, "mlp": 10.0}


def predict(experiment: str | Experiment) -> xr.Dataset:
    """Compute every predictor of the fall of the chosen response at step 0 of an experiment.

    Nothing is trained. A predictor is computed in float64 whatever number type the line trains in, and for the loss of
    all pairs whatever its batch.

    Args:
        experiment: An experiment or its line.

    Returns:
        By the names of `lab.predictors.PREDICTORS`, each [axes, seed, pair] with the coordinates that the record of
        `lab.run` has; an axis that does not change the start, such as the learning rate, stands there all the same.

    Raises:
        ValueError: If the line is not valid, or its objective reads more than pairs.
        RuntimeError: If the reference cannot be fitted.
    """
    import xarray as xr

    experiment = experiment if isinstance(experiment, Experiment) else Experiment.parse(experiment)
    looped = dict(experiment.looped_axes)
    found: dict[tuple[object, ...], xr.Dataset] = {
        tuple(coordinates.values()): _cell(cell) for cell, coordinates in experiment.cells()
    }
    while looped:
        name, values = looped.popitem()
        outer = dict.fromkeys(key[:-1] for key in found)
        axis = xr.Variable(name, list(values), {"long_name": name.replace("_", " ")})
        found = {key: xr.concat([found[(*key, value)] for value in values], axis) for key in outer}
    return found[()].assign_attrs(experiment=str(experiment))


def by_setting(tables: Sequence[xr.Dataset], *, inside: Sequence[str] = ()) -> xr.Dataset:
    """Put the settings of several experiments one after the other.

    Args:
        tables: Variables [axes, seed, pair], with equal seeds; the axes and the number of pairs may differ.
        inside: Axes that do not make a setting of their own: their cells are further pairs of the setting they are in.

    Returns:
        [setting, seed, pair]; the coordinate `line` says which table a setting is of. Pairs that it lacks are NaN.

    Raises:
        ValueError: If the seeds differ.
    """
    import xarray as xr

    rows = []
    for line, table in enumerate(tables):
        plain = table.drop_vars([name for name in table.coords if name != "seed"]).expand_dims("alone")
        # In one order, whatever the order of the table: what is put side by side has to be of the same setting.
        axes = sorted(str(dim) for dim in plain.dims if dim not in ("seed", "pair", *inside))
        further = [dim for dim in inside if dim in plain.dims]
        flat = plain.rename(pair="own").stack(pair=["own", *further], create_index=False)
        flat = flat.stack(setting=axes, create_index=False)
        rows.append(flat.assign_coords(line=("setting", [line] * flat.sizes["setting"])))
    most = max(row.sizes["pair"] for row in rows)
    padded = [row.pad(pair=(0, most - row.sizes["pair"])).transpose("setting", "seed", "pair") for row in rows]
    return xr.concat(padded, "setting", join="exact", combine_attrs="drop")


def foresee(
    records: Sequence[xr.Dataset],
    *,
    early: int,
    margin: float,
    inside: Sequence[str] = ("overlap",),
    resamples: int = 500,
) -> xr.Dataset:
    """Correlate the ranks of what could be predicted at step 0 with those of the falls that came.

    Args:
        records: Records of experiments with equal seeds, such as one for each number of prompts.
        early: A recorded step, up to which the first steps count.
        margin: The log-ratio margin in nats at which pairs are compared.
        inside: Axes over which the pairs of a setting differ, as pairs of a data set do in how alike they are.
        resamples: Number of resamples of the seeds.

    Returns:
        As `intervals.rank_correlations`, with the dimension `comparison` in front: "within" settings (pairs of a line
        and a cell are compared with each other only) and "pooled". Within a setting the start probabilities of a pair
        are set, and all that is left of them is how well a network was fitted: their predictors are NaN there. The
        coordinate `long_name` names each predictor in words.

    Raises:
        ValueError: If the seeds differ, or a record does not hold the step.
    """
    import xarray as xr

    from lab.predictors import PREDICTORS

    before = by_setting([predict(record.attrs["experiment"]) for record in records], inside=inside)
    after = by_setting([metrics.falls(record, early=early, margin=margin) for record in records], inside=inside)
    varied = before.drop_vars([name for name, about in PREDICTORS.items() if about.reach == "start"])
    pooled = intervals.rank_correlations(before, after, resamples=resamples)
    within = intervals.rank_correlations(varied, after, within=("setting",), resamples=resamples)
    cells = within["cells"].reindex_like(pooled, fill_value=0)
    within = within.reindex_like(pooled).assign(cells=cells)
    both = xr.concat([within, pooled], xr.Variable("comparison", ["within", "pooled"]))
    return both.assign_coords(long_name=("predictor", [PREDICTORS[str(name)].long_name for name in before.data_vars]))


def follow(
    records: Sequence[xr.Dataset],
    *,
    shares: Sequence[float],
    inside: Sequence[str] = ("overlap",),
    resamples: int = 500,
) -> xr.Dataset:
    """Correlate the ranks of the fall so far with those of the fall at the end, within settings.

    So far is until a pair's own log-ratio margin reaches a share of what pairs typically end with, the median over all
    of them. A share of the steps would be no clock for comparing optimisers: one makes most of its margin in a tenth of
    its steps, another a hundredth.

    Args:
        records: Records of experiments with equal seeds.
        shares: Shares of the margin, above 0.
        inside: As in `foresee`.
        resamples: Number of resamples of the seeds.

    Returns:
        [share]: `value`, `low`, `high` and `cells` as in `intervals.rank_correlations`, and `absent`, the share of
        pairs that never have the margin and are left out.

    Raises:
        ValueError: If the seeds differ.
    """
    import xarray as xr

    margins = [metrics.log_ratio_margin(record) for record in records]
    typical = float(np.median(np.concatenate([each.isel(step=-1).values.ravel() for each in margins])))
    falls = [metrics.fall_from_start(record) for record in records]
    end = by_setting([fall.isel(step=-1, drop=True).to_dataset(name="end") for fall in falls], inside=inside)
    levels = [typical * share for share in shares]
    reached = [metrics.when_reached(fall, way, levels) for fall, way in zip(falls, margins, strict=True)]
    so_far = by_setting(
        [xr.Dataset({str(k): each.isel(level=k, drop=True) for k in range(len(levels))}) for each in reached],
        inside=inside,
    )
    # Left out is what has no fall so far, so that is the outcome here; a correlation has no direction.
    found = intervals.rank_correlations(end, so_far, within=("setting",), resamples=resamples)
    found = found.isel(predictor=0, drop=True).rename(outcome="share").assign_coords(share=list(shares))
    here = end["end"].notnull()
    absent = [1 - float((so_far[str(k)].notnull() & here).sum() / here.sum()) for k in range(len(levels))]
    return found.assign(absent=("share", absent))


def _cell(experiment: Experiment) -> xr.Dataset:
    import xarray as xr

    from lab.experiments.running import build_pairwise, reference
    from lab.predictors import PREDICTORS, step_zero

    problem, policy, objective, optimizer, axes = build_pairwise(experiment)
    values = step_zero(problem, policy, objective, optimizer, reference(policy, problem))
    sizes = [len(each) for each in axes.values()]
    pairs = problem.preferences
    return xr.Dataset(
        {
            name: (
                (*axes, "pair"),
                values[name].numpy().reshape(*sizes, len(pairs)),
                {"long_name": about.long_name, "units": about.units},
            )
            for name, about in PREDICTORS.items()
        },
        {
            **{name: (name, each, {"long_name": name.replace("_", " ")}) for name, each in axes.items()},
            "pair_prompt": ("pair", pairs.prompt.numpy()),
            "chosen": ("pair", pairs.chosen.numpy()),
            "rejected": ("pair", pairs.rejected.numpy()),
            "pair_weight": ("pair", np.asarray(pairs.weight)),
        },
    )
