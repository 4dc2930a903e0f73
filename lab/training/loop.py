"""The step loop of one chunk of runs: it advances the state and writes a tape, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lab.gradients import (
    log_prob_change,
    logit_gradient,
    norms_and_cosine,
    pick_pairs,
    weight_table,
)
from lab.objectives import Objective, PairLogProbs
from lab.optimizers import Optimizer
from lab.policies import Policy
from lab.problems import Problem
from lab.training.batches import pair_weights
from lab.training.recording import Record, blank_tape

CHECK_EVERY = 50  # recorded steps between two looks for NaN and infinity: a look waits for the device


@dataclass(frozen=True)
class Chunk:
    """Runs that are advanced together. All tensors of policy, objective and optimiser belong to these runs.

    Args:
        problem: gives pairs and sizes.
        policy: the policy.
        objective: the objective.
        optimizer: the optimiser.
        start: parameters of the reference, [run, parameter], on the device and in the dtype of the computation.
        seeds: the runs' seeds.
    """

    problem: Problem
    policy: Policy
    objective: Objective
    optimizer: Optimizer
    start: Tensor
    seeds: tuple[int, ...]

    def train(
        self, steps: int, record: Record, batch: int, progress: Callable[[float], None] | None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Advance the runs by `steps` updates.

        Returns:
            The tape, [run, step, ...] each, and for every run the first recorded row that is not finite (the number of
            rows if none), [run].
        """
        problem, policy, keep = self.problem, self.policy, record.keep
        shape, cells = (problem.prompts, problem.responses), problem.prompts * problem.responses
        state = self.start.clone()
        memory = self.optimizer.memory(state)
        flat = problem.preferences.flat(problem.responses).to(state.device)
        weights = pair_weights(problem.preferences, batch, self.seeds, state)
        whole = batch in (0, len(problem.preferences))
        everything = None if whole else problem.preferences.weight.to(state).repeat(2)
        rows = record.steps(steps)
        logits_only = policy.parameters_are_logits
        tape = blank_tape(
            record,
            steps=len(rows),
            runs=len(state),
            cells=cells,
            parameters=state.shape[1],
            logits_only=logits_only,
            like=state,
        )
        predicting = "predictions" in keep
        reference = policy.forward(state)[0].log_softmax(-1)
        if reference.shape[1:] != shape:
            raise ValueError(
                f"the policy has {reference.shape[1]} prompts and {reference.shape[2]} responses, the problem has "
                f"{shape[0]} and {shape[1]}; build the policy with the problem's sizes"
            )
        reference = reference.flatten(1)
        starts = pick_pairs(reference, flat)
        row, before = 0, reference
        for step in range(steps + 1):
            logits, passed = policy.forward(state)
            log_prob = logits.log_softmax(-1)
            table = log_prob.view(-1, cells)
            if predicting and step and step - 1 == rows[row - 1]:
                tape["realised_change"][row - 1] = table - before
            recording = step == rows[row]
            if recording:
                tape["log_prob"][row] = table
                if "parameters" in keep:
                    tape["parameters"][row] = state
                if row % CHECK_EVERY == 0 and not bool(torch.isfinite(table).all()):
                    break
            push = torch.cat(self.objective.response_weights(PairLogProbs(*pick_pairs(table, flat), *starts)), 1)
            weighted = push * next(weights)
            if logits_only and not predicting:
                total = torch.zeros_like(table).index_add_(1, flat, weighted).view_as(log_prob)
                gradient = total.addcmul_(log_prob.exp_(), total.sum(-1, keepdim=True), value=-1).view_as(table)
            else:
                by_logit, by_term = self._terms(state, passed, log_prob, weighted, flat)
                gradient = by_term[:, 0] + by_term[:, 1]
                if recording and "parameter_cosine" in tape:
                    at, by = by_logit, by_term
                    if everything is not None:  # the record speaks of the whole loss, as all else in it does
                        at, by = self._terms(state, passed, log_prob, push * everything, flat)
                    scale = at.abs().amax((-2, -1)).unsqueeze(-1)  # far fewer entries, and J is linear
                    tape["parameter_log_norm"][row], tape["parameter_cosine"][row] = norms_and_cosine(by, scale)
                if recording and predicting:
                    rate = self.optimizer.learning_rate(state)
                    rate = rate[..., None] if isinstance(rate, Tensor) and rate.ndim else rate
                    along = policy.pushforward(state, passed, -rate * by_term)
                    tape["predicted_change"][row] = log_prob_change(log_prob[:, None], along).flatten(2)
            if step == steps:
                break
            update = self.optimizer.update(gradient, memory, step + 1)
            if recording and predicting:
                along = policy.pushforward(state, passed, update[:, None])
                tape["linear_change"][row] = log_prob_change(log_prob[:, None], along)[:, 0].flatten(1)
                before = table.clone()
            state.add_(update)
            row += recording
            if progress and step % 25 == 0:
                progress(step / steps)
        tape = {name: value.transpose(0, 1) for name, value in tape.items()}
        tape |= self._losses(tape["log_prob"], starts, flat)
        broken = [_first_broken(tape[name][:, : row + 1], len(rows)) for name in ("log_prob", "loss")]
        tape["reference_log_prob"] = reference.unflatten(-1, shape)
        for name in ("log_prob", "predicted_change", "linear_change", "realised_change"):
            if name in tape:
                tape[name] = tape[name].unflatten(-1, shape)
        return tape, torch.minimum(*broken)

    def _terms(
        self, state: Tensor, passed: Any, log_prob: Tensor, weighted: Tensor, flat: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the gradients of the chosen and the rejected term in logit space and in parameter space."""
        table = weight_table(weighted, flat, log_prob[0].numel()).unflatten(-1, log_prob.shape[1:])
        by_logit = logit_gradient(log_prob[:, None], table)
        return by_logit, self.policy.pullback(state, passed, by_logit)

    def _losses(self, log_prob: Tensor, starts: tuple[Tensor, Tensor], flat: Tensor) -> dict[str, Tensor]:
        """Evaluate the objective on the whole tape in one pass."""
        pairs = PairLogProbs(*pick_pairs(log_prob, flat), starts[0][:, None], starts[1][:, None])
        return {
            "loss": self.objective.loss(pairs),
            "response_weight": torch.stack(self.objective.response_weights(pairs), 2),
        }


def _first_broken(values: Tensor, rows: int) -> Tensor:
    """Return each run's first row with NaN or infinity, or `rows`, [run]; `values` is [run, row, entry]."""
    broken = ~torch.isfinite(values.sum(-1))  # a sum is finite only if all its entries are
    return torch.where(broken.any(1), broken.to(torch.uint8).argmax(1), rows)
