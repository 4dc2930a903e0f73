"""Training: every run at once is every run by itself, and the record says what happened."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

import lab
from lab.gradients import decompose
from lab.objectives import Objective, PairLogProbs
from lab.objectives.base import per_run
from tests import worlds
from tests.worlds import BETAS, OBJECTIVES, OTHERS, POLICIES


def test_a_run_that_leaves_the_numbers_stops_and_keeps_what_was_recorded():
    line = "tabular s1 ipo beta=0.01 sgd lr=1e6 steps=50 seeds=3"
    with pytest.raises(lab.NonFiniteError) as caught:
        lab.run(line)
    kept = caught.value.trajectory
    step = kept.sizes["step"]
    assert 1 < step < 50
    canonical = "tabular s1 ipo beta=0.01 sgd lr=1000000 steps=50 seeds=3"
    assert str(caught.value) == (
        f"non-finite log-probabilities or loss in: {canonical}, seed 0, step {step}; the {step} recorded steps before "
        "it are kept in the error's `trajectory`; lower lr"
    )
    assert list(kept.step) == list(range(step)) and kept.sizes["seed"] == 3
    assert kept.attrs["experiment"] == canonical
    for name in ("log_prob", "loss", "response_weight"):
        assert np.isfinite(kept[name]).all(), name


def test_the_error_names_the_cell_of_a_sweep_and_the_first_bad_seed():
    with pytest.raises(lab.NonFiniteError, match=r"lr=1000000\.0, seed 7, step \d+;") as caught:
        lab.run("tabular s1 ipo beta=0.01 sgd lr=1e-3,1e6 steps=60 seeds=2 seed=7")
    assert caught.value.trajectory.sizes["lr"] == 2


def test_a_loss_that_overflows_before_its_log_probabilities_do_is_no_record():
    with pytest.raises(lab.NonFiniteError, match="or loss in"):
        lab.run("tabular s1 ipo beta=0.01 sgd lr=1e6 steps=30 seeds=1")


@dataclass(frozen=True)
class OnlyALoss(Objective):
    """DPO without its closed form."""

    beta: float | torch.Tensor

    def loss(self, pairs: PairLogProbs) -> torch.Tensor:
        return -torch.nn.functional.logsigmoid(per_run(self.beta, pairs.chosen) * pairs.log_ratio_margin)


@pytest.mark.parametrize("beta", [0.3, BETAS])
@pytest.mark.parametrize("policy", POLICIES)
def test_an_objective_that_is_only_a_loss_trains_like_its_closed_form(policy, beta):
    world = worlds.problem()
    machine, start = worlds.policy(policy, world), worlds.state(policy, world)
    a, b = (
        lab.train(world, machine, objective, lab.SGD(0.5), steps=10, start=start, record=EVERYTHING)
        for objective in (OnlyALoss(beta), lab.WeightedSum((OnlyALoss(beta),), (OTHERS,)))
    )
    c, d = (
        lab.train(world, machine, objective, lab.SGD(0.5), steps=10, start=start, record=EVERYTHING)
        for objective in (lab.DPO(beta), lab.WeightedSum((lab.DPO(beta),), (OTHERS,)))
    )
    for first, second in ((a, c), (b, d)):
        for name in ("log_prob", "loss", "response_weight", "realised_change", "parameters"):
            np.testing.assert_allclose(first[name], second[name], rtol=1e-10, atol=1e-12, err_msg=name)


EVERYTHING = lab.Record(keep=("gradients", "predictions", "parameters"))


@pytest.mark.parametrize("batch", [0, 2, 5])
@pytest.mark.parametrize("policy", POLICIES[1:])
def test_recorded_parameters_decompose_to_the_recorded_norms_whatever_the_batch(policy, batch):
    world, objective = worlds.problem(), OBJECTIVES["sum per run"]
    machine, start = worlds.policy(policy, world), worlds.state(policy, world)
    record = lab.train(world, machine, objective, lab.SGD(0.1), steps=5, start=start, batch=batch, record=EVERYTHING)
    for row in range(record.sizes["step"]):
        state = torch.from_numpy(record.parameters.values[:, row])
        reference = torch.from_numpy(record.reference_log_prob.values)
        found = decompose(machine, state, objective, world.preferences, reference)
        np.testing.assert_allclose(record.parameter_log_norm[:, row], found.log_norm("parameter"), rtol=1e-10)
        np.testing.assert_allclose(record.parameter_cosine[:, row], found.cosine("parameter"), rtol=0, atol=1e-10)
        np.testing.assert_allclose(record.log_prob[:, row], found.log_prob, rtol=1e-12)
