"""The quantities that exact results are held against, each against a second way to the same number."""

from __future__ import annotations

import numpy as np
import pytest

import lab
from lab import metrics


def test_the_clock_of_a_table_agrees_with_a_numerical_integration_of_its_flow():
    from scipy.integrate import solve_ivp

    beta, rate, steps = 0.3, 0.02, 2000
    ds = lab.run(f"tabular s1,s2,s3,s4 dpo beta={beta} sgd lr={rate} steps={steps} seeds=2 every=500")
    time = metrics.flow_time(ds)
    assert time.dims == ("scenario", "seed", "step", "pair")
    # The flow itself, in all ten logits: dz⁺/dt = -dz⁻/dt = w β σ(-m), on the four starts.
    for scenario in ds["scenario"].values:
        start = ds["reference_log_prob"].sel(scenario=scenario).isel(seed=0, prompt=0).values
        chosen, rejected = int(ds["chosen"][0]), int(ds["rejected"][0])

        def flow(_, logits, chosen=chosen, rejected=rejected, start=start):
            margin = beta * ((logits[chosen] - logits[rejected]) - (start[chosen] - start[rejected]))
            speed = np.zeros_like(logits)
            speed[chosen], speed[rejected] = np.array([1, -1]) * 0.25 * beta / (1 + np.exp(margin))
            return speed

        solved = solve_ivp(flow, (0, rate * steps), start, t_eval=rate * ds["step"].values, rtol=1e-10, atol=1e-12)
        margins = beta * ((solved.y[chosen] - solved.y[rejected]) - (start[chosen] - start[rejected]))
        reached = ds.isel(seed=[0]).sel(scenario=scenario)
        # Euler's steps differ from the flow by the order of the step; the clock of the flow's own margins does not.
        np.testing.assert_allclose(metrics.margin(reached).values[0, :, 0], margins, rtol=1e-3)
        exact = (margins + np.exp(margins) - 1) / (2 * beta**2 * 0.25)
        np.testing.assert_allclose(exact, rate * ds["step"].values, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(time.isel(step=-1), rate * steps, rtol=1e-3)


def test_the_changes_of_steps_add_up_to_the_change_of_the_run():
    ds = lab.run("tabular s2 dpo beta=0.1 adam lr=0.1 steps=30 seeds=2 every=7")
    change = metrics.step_change(metrics.chosen_log_prob(ds))
    np.testing.assert_array_equal(change["step"], ds["step"][:-1])
    whole = metrics.chosen_log_prob(ds)
    np.testing.assert_allclose(change.sum("step"), whole.isel(step=-1) - whole.isel(step=0))
    assert change.attrs["units"] == "nats" and change.name == "chosen_log_prob_change"
    assert metrics.step_change(whole.drop_attrs()).attrs["units"] == "1"


def test_the_unseen_change_belongs_to_the_prompt_of_the_pair():
    ds = lab.run("tabular s2 dpo beta=0.1 sgd lr=1 steps=5 seeds=2 pairs=2")
    change = metrics.unseen_change(ds)
    assert change.dims == ("seed", "step", "pair")
    masses = metrics.unseen_mass(ds).values
    for pair, prompt in enumerate(ds["pair_prompt"].values):
        np.testing.assert_allclose(change.values[..., pair], np.diff(masses[..., prompt], axis=1), atol=1e-15)


@pytest.mark.parametrize("policy", ["mlp s1,s4", "loglinear s1,s4"])
def test_interference_is_the_share_that_a_small_step_loses(policy):
    """The plain gradient step's first-order change of log π⁺, from the record's own predictions."""
    line = f"{policy} dpo beta=0.1 sgd lr=0.01 steps=20 seeds=3 prompts=1 keep=gradients+predictions"
    ds = lab.run(line)
    change = ds["predicted_change"].isel(prompt=0, response=int(ds["chosen"][0]))
    own, other = change.sel(term="chosen"), change.sel(term="rejected")
    share = metrics.interference(ds)
    assert share.dims == ("scenario", "seed", "step")
    np.testing.assert_allclose(share, -other / own, rtol=1e-9)


def test_interference_needs_gradients():
    ds = lab.run("mlp s1 dpo beta=0.1 sgd lr=0.01 steps=2 seeds=1 keep=none")
    with pytest.raises(ValueError, match="no parameter_log_norm and no parameter_cosine; .* Run the .* keep=gradients"):
        metrics.interference(ds)


@pytest.mark.parametrize(("chosen", "rejected"), [(0.02, 0.45), (0.3, 0.4), (0.2, 0.2), (0.45, 0.02)])
def test_a_trained_table_raises_its_unseen_mass_by_what_the_law_says(chosen, rejected):
    """Small steps past the top, under plain SGD and under Adam, whose two logits move alike as well."""
    expected = float(metrics.largest_unseen_rise(np.array(chosen), np.array(rejected)))
    for end in ("sgd lr=1 steps=900", "adam lr=0.02 steps=200"):
        ds = lab.run(f"tabular s2 dpo beta=0.1 {end} seeds=1 prompts=1 on={rejected} off={chosen} keep=none")
        unseen = metrics.over_prompts(metrics.unseen_mass(ds), ds).isel(seed=0)
        assert float(unseen.max() - unseen[0]) == pytest.approx(expected, abs=2e-4)
    assert (expected > 0) == (rejected > chosen)


def test_a_rise_of_no_distribution_is_refused():
    with pytest.raises(ValueError, match="to a sum of 1.2; each must be above 0 and the two sum to at most 1"):
        metrics.largest_unseen_rise(np.array([0.3, 0.6]), np.array(0.6))
