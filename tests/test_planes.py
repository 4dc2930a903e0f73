"""The vector field of an experiment: real steps from its own states, the states that cannot be, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import lab
from lab import metrics
from lab.experiments.planes import flow_on_plane

PART = "s1 dpo beta=0.5 sgd lr=1e-5 steps=1 seeds=2 prompts=2 responses=6 on=0.4 keep=parameters"
LINES = {
    "tabular": f"tabular {PART}",
    "loglinear": f"loglinear {PART} features=4",
    "mlp": f"mlp {PART} width=8 activation=tanh",  # a ReLU unit may switch between two states that are close
}
START = np.log(0.4)


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_at_the_start_the_flow_is_what_a_tiny_step_does(line):
    flow, record = flow_on_plane(line, [-3.0, START], [-5.0, START]), lab.run(line)
    for name, metric in (("chosen", metrics.chosen_log_prob), ("rejected", metrics.rejected_log_prob)):
        realised = metrics.step_change(metric(record)).isel(step=0).values / 1e-5
        found = flow[name].isel(log_chosen=1, log_rejected=1).transpose("seed", "pair").values
        # A fitted network starts near, not at, the probabilities that were asked for.
        np.testing.assert_allclose(found, realised, rtol=0.02 if "mlp" in line else 1e-4)


def test_states_without_mass_for_the_others_are_left_out():
    flow = flow_on_plane(LINES["tabular"], [-3.0, np.log(0.6)], [-5.0, np.log(0.5)])
    assert flow.chosen.isnull().all(["seed", "pair"]).values.tolist() == [[False, False], [False, True]]
    assert flow.chosen.dims == ("seed", "log_rejected", "log_chosen", "pair")
    assert np.array_equal(flow.rejected.isnull(), flow.chosen.isnull())


@pytest.mark.parametrize("name", LINES)
def test_around_a_state_the_unseen_responses_have_its_proportions(name):
    # Where training ended, the plane passes through the very state if its pairs are put back to their places.
    line = LINES[name].replace("steps=1", "steps=40").replace("lr=1e-5", "lr=0.5").replace("prompts=2", "prompts=1")
    record = lab.run(line)
    chosen, rejected = (
        float(metric(record).isel(step=-1, seed=0, pair=0))
        for metric in (metrics.chosen_log_prob, metrics.rejected_log_prob)
    )
    end = record.isel(step=-1)
    here = flow_on_plane(line, [chosen], [rejected], around=end).chosen.isel(seed=0).item()
    further = lab.run(line.replace("steps=40", "steps=41"))
    step = metrics.step_change(metrics.chosen_log_prob(further)).isel(step=-1, seed=0).item()
    small = {"tabular": 0.02, "loglinear": 0.05, "mlp": 0.1}[name]  # a step of 0.5 is not yet a flow
    np.testing.assert_allclose(here, step / 0.5, rtol=small)


def test_the_parameters_of_a_network_are_kept(monkeypatch):
    first = flow_on_plane(LINES["mlp"], [-2.0], [-3.0])

    def refuse(*_):
        raise AssertionError("fitted again")

    monkeypatch.setattr("lab.theory.fit_exactly", refuse)
    assert flow_on_plane(LINES["mlp"], [-2.0], [-3.0]).identical(first)
    with pytest.raises(AssertionError, match="fitted again"):
        flow_on_plane(LINES["mlp"], [-2.0], [-4.0])


def test_planes_that_cannot_be_are_refused():
    line = LINES["loglinear"]
    with pytest.raises(ValueError, match=r"has the axes beta; give one cell, seeds apart"):
        flow_on_plane(line.replace("beta=0.5", "beta=0.5,1"), [-1.0], [-1.0])
    with pytest.raises(ValueError, match=r"no state of the plane leaves mass to the unseen responses; lower"):
        flow_on_plane(line, [-0.1], [-0.1])
    record = lab.run(line)
    with pytest.raises(ValueError, match=r"`around` has log_prob over \['seed', 'step', .*pick one cell and one step"):
        flow_on_plane(line, [-1.0], [-2.0], around=record)
    with pytest.raises(ValueError, match=r"`around` has no parameters; .* run with keep=parameters"):
        flow_on_plane(line, [-1.0], [-2.0], around=record.isel(step=-1).drop_vars("parameters"))
    with pytest.raises(
        ValueError, match=r"has log_prob of shape \(1, 2, 6\), the experiment \(2, 2, 6\); take it from"
    ):
        flow_on_plane(line, [-1.0], [-2.0], around=record.isel(step=-1, seed=[0]))
