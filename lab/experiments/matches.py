"""DPO and PPO on a learned reward, trained on the same comparisons in all their settings, stopped at the same KL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

import lab
from lab import metrics, store
from lab.experiments.cached import LIBRARIES
from lab.experiments.experiment import Experiment
from lab.experiments.sources import sources, versions
from lab.experiments.vocabulary import Value

if TYPE_CHECKING:
    import xarray as xr

BUDGETS = (0.1, 0.3, 1.0, 2.0)
LENGTHS = (10, 50, 250)
# The words of a line that make its world and its data: two lines that agree in them learn from the same comparisons.
WORLD = (
    "scenario", "prompts", "responses", "seeds", "seed", "truth", "data", "comparisons", "repeats", "judge",
    "agreement", "sampler", "tilt", "coverage", "held", "sharpness", "features",
)  # fmt: skip


def dpo_beside(
    model: str | Experiment,
    *,
    policy: str,
    betas: Sequence[float],
    rates: Sequence[float],
    steps: int,
    every: int,
    dtype: str = "float64",
) -> Experiment:
    """Write the experiment of DPO that learns from the comparisons of a reward model.

    Args:
        model: The reward model's experiment, or its line; its world stays.
        policy: The policy that DPO trains.
        betas: Its β.
        rates: Its learning rates.
        steps: Its updates.
        every: How often it is looked at, to see where its KL is.
        dtype: Number type of its computation.

    Returns:
        The experiment, under the optimiser of the model's.
    """
    return replace(
        _parsed(model), policy=(policy,), objective=("dpo",), beta=tuple(betas), lr=tuple(rates), steps=(steps,),
        every=(every,), dtype=(dtype,),
    )  # fmt: skip


def play(
    dpo: str | Experiment,
    model: str | Experiment,
    *,
    lengths: Sequence[int] = LENGTHS,
    budgets: Sequence[float] = BUDGETS,
    method: str = "ppo",
) -> xr.Dataset:
    """Train DPO, and PPO on a learned reward, in all their settings, and stop every run at each KL budget.

    PPO has the policy, the β and the updates of DPO's line, and the middle one of its learning rates; its reward is
    the model's after so many updates. A run stops where the KL of its policy, the mean over prompts, first reaches the
    budget, or at its last update. Cells of looped axes are kept in the cache.

    Args:
        dpo: DPO's experiment or line; it has as many learning rates as there are lengths: both have as many settings.
        model: The reward model's, of the same world and data. It may be of another kind than the policy.
        lengths: Updates of the reward model after which its rewards are taken, within its steps.
        budgets: KL, above 0, nats.
        method: The word of the policy gradient: ppo, or pg for its exact expectation.

    Returns:
        Gains in expected true reward over the reference: `dpo` [world axes, beta, lr, seed, prompt, budget] and `ppo`
        [world axes, length, beta, seed, prompt, budget]. How often the rewards order two draws of the reference as the
        truth does: `dpo_agreement`, of DPO's implicit reward where it stops, and `ppo_agreement`, of the model; as
        the gains, without `prompt`. An axis of one value is left out, but for `length`.

    Raises:
        ValueError: If the lines differ in their world, a line has another objective, the settings of the two are not
            as many, or a length is beyond the model's steps.
    """
    import xarray as xr

    dpo, model = _parsed(dpo), _parsed(model)
    _check(dpo, model, lengths)
    looped = list(dpo.looped_axes.items())
    found = {
        tuple(place.values()): _cell(ours, theirs, lengths, budgets, method)
        for (ours, place), (theirs, _) in zip(dpo.cells(), model.cells(), strict=True)
    }
    while looped:
        name, values = looped.pop()
        outer = dict.fromkeys(key[:-1] for key in found)
        axis = xr.Variable(name, list(values), {"long_name": name.replace("_", " ")})
        found = {key: xr.concat([found[(*key, value)] for value in values], axis) for key in outer}
    return found[()].assign_attrs(dpo=str(dpo), model=str(model), method=method)


def _parsed(given: str | Experiment) -> Experiment:
    return given if isinstance(given, Experiment) else Experiment.parse(given)


def _check(dpo: Experiment, model: Experiment, lengths: Sequence[int]) -> None:
    for experiment, word in ((dpo, "dpo"), (model, "rm")):
        if experiment.objective != (word,):
            raise ValueError(
                f"the objective is {', '.join(experiment.objective)}; this line needs {word}: {experiment}"
            )
    apart = [name for name in WORLD if getattr(dpo, name) != getattr(model, name)]
    if apart or set(dpo.looped_axes) - set(WORLD) or set(model.axes) - set(WORLD):
        raise ValueError(
            f"the two lines differ in {', '.join(apart) or 'their axes'}; both have to learn from the same data, and "
            "their axes, DPO's beta and lr apart, have to be of the world. Write them alike."
        )
    if len(dpo.lr) != len(lengths):
        raise ValueError(
            f"DPO has {len(dpo.lr)} learning rates and the reward model {len(lengths)} lengths; give as many of both, "
            "so that both methods have as many settings to choose from"
        )
    if not all(0 < each <= model.value("steps") for each in lengths):
        raise ValueError(f"lengths are {list(lengths)}; they lie in 1 to {model.value('steps')}, the model's steps")


def _cell(
    dpo: Experiment, model: Experiment, lengths: Sequence[int], budgets: Sequence[float], method: str
) -> xr.Dataset:
    """Play one cell of the looped axes, or read it from the cache; DPO is trained once for all models beside it."""
    import xarray as xr

    common = (str(dpo), list(budgets), lab.__version__, versions(*LIBRARIES), sources("lab.experiments.matches"))
    arrays = {
        **store.fetch_arrays(store.key("matches", *common), lambda: _dpo(dpo, budgets)),
        **store.fetch_arrays(
            store.key("matches", *common, str(model), list(lengths), method),
            lambda: _ppo(dpo, model, lengths, budgets, method),
        ),
    }
    prompts, found = {"prompt": tuple(range(dpo.value("prompts")))}, {}
    for name, axes in (("dpo", _axes(dpo)), ("ppo", {"length": tuple(lengths), **_axes(dpo, "lr")})):
        for variable, whole in ((name, {**axes, **prompts}), (f"{name}_agreement", axes)):
            dims = (*whole, "budget")
            coords = {axis: list(values) for axis, values in whole.items() if axis != "prompt"}
            shape = [*map(len, whole.values()), len(budgets)]
            found[variable] = xr.DataArray(arrays[variable].reshape(shape), {**coords, "budget": list(budgets)}, dims)
    table = xr.Dataset(found)
    table["budget"].attrs |= {"long_name": "KL from the reference", "units": "nats"}
    return table


def _axes(experiment: Experiment, *without: str) -> dict[str, tuple[Value, ...]]:
    """Return the axes of one cell's runs, seeds last."""
    first = experiment.value("seed")
    batched = {name: values for name, values in experiment.batched_axes.items() if name not in without}
    return {**batched, "seed": tuple(range(first, first + experiment.value("seeds")))}


def _dpo(dpo: Experiment, budgets: Sequence[float]) -> dict[str, np.ndarray]:
    """Train DPO and read it; see `play`."""
    from lab.experiments.running import run

    record = run(dpo)
    implicit = metrics.implicit_rewards(record)
    right = metrics.judge_agreement(implicit, record["reward"], record["reference_log_prob"]).mean("prompt")
    return {
        "dpo": _gain(record, budgets).transpose(*_axes(dpo), "prompt", "budget").values,
        "dpo_agreement": _where_it_stops(right, record, budgets).transpose(*_axes(dpo), "budget").values,
    }


def _ppo(
    dpo: Experiment, model: Experiment, lengths: Sequence[int], budgets: Sequence[float], method: str
) -> dict[str, np.ndarray]:
    """Train the model, and PPO on its rewards after each length, and read it; see `play`."""
    scores, axes = _scores(model, lengths), [*_axes(dpo, "lr")]
    gains, right = [], []
    for length in lengths:
        learned = scores.sel(length=length, drop=True)
        record = _climb(dpo, learned, method)
        gains.append(_gain(record, budgets).transpose(*axes, "prompt", "budget"))
        judged = metrics.judge_agreement(learned, record["reward"], record["reference_log_prob"]).mean("prompt")
        right.append(judged.broadcast_like(gains[-1].isel(prompt=0, drop=True)).transpose(*axes, "budget"))
    return {
        "ppo": np.stack([each.values for each in gains]),
        "ppo_agreement": np.stack([each.values for each in right]),
    }


def _gain(ds: xr.Dataset, budgets: Sequence[float]) -> xr.DataArray:
    """Read the gain in true reward at each budget, [..., prompt, budget]."""
    reward = metrics.expected_reward(ds)
    return _where_it_stops(reward, ds, budgets) - reward.isel(step=0, drop=True)


def _where_it_stops(values: xr.DataArray, ds: xr.Dataset, budgets: Sequence[float]) -> xr.DataArray:
    """Read values where the KL of a record first reaches each budget, or at its last step: [..., budget]."""
    way = metrics.kl_from_reference(ds).mean("prompt").broadcast_like(values)
    read = metrics.when_reached(values, way, budgets).rename(level="budget")
    return read.fillna(values.isel(step=-1, drop=True))


def _scores(model: Experiment, lengths: Sequence[int]) -> xr.DataArray:
    """Train the reward model and return its rewards after so many updates, [length, axes, seed, prompt, response]."""
    from lab.experiments.running import build
    from lab.training import Record, train

    problem, policy, objective, optimizer, axes = build(model)
    every = int(np.gcd.reduce(list(lengths)))
    trained = train(
        problem, policy, objective, optimizer, steps=max(lengths), record=Record(every=every, keep=()), axes=axes
    )
    return trained["score"].sel(step=list(lengths)).rename(step="length")


def _climb(dpo: Experiment, scores: xr.DataArray, method: str) -> xr.Dataset:
    """Train a policy gradient on given rewards, in the policy and the settings of DPO's line."""
    import torch

    from lab.estimators import PolicyGradient
    from lab.experiments.running import build, reference
    from lab.preferences import Preferences
    from lab.training import Record, train

    rate = sorted(dpo.lr)[len(dpo.lr) // 2]
    problem, policy, climber, optimizer, axes = build(replace(dpo, objective=(method,), lr=(rate,)))
    assert isinstance(climber, PolicyGradient)
    given = scores.expand_dims({name: values for name, values in axes.items() if name not in scores.dims})
    rewards = np.ascontiguousarray(given.transpose(*axes, "prompt", "response").values, np.float64)
    return train(
        # It learns from its own draws: pairs would only be recorded, and there are hundreds.
        replace(problem, preferences=Preferences([0], [0], [1])),
        policy,
        replace(climber, reward=torch.from_numpy(rewards.reshape(problem.target_log_prob.shape))),
        optimizer,
        steps=dpo.value("steps"),
        start=reference(policy, problem),
        record=Record(every=dpo.value("every"), keep=()),
        dtype={"float64": torch.float64, "float32": torch.float32}[str(dpo.value("dtype"))],
        axes=axes,
    )
