"""The step loop of one chunk of runs: it advances the state and writes a tape, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from lab.gradients import (
    log_prob_change,
    logit_gradient,
    norms_and_cosine,
    weight_table,
)
from lab.objectives import Objective, PairLogProbs
from lab.objectives.view import PairView
from lab.optimizers import Optimizer
from lab.policies import Policy
from lab.problems import Problem
from lab.training.batches import pair_weights
from lab.training.online import OnlineWeights
from lab.training.recording import CHECK_EVERY, Record, blank_tape, first_broken


@dataclass(frozen=True)
class Chunk:
    """Runs that are advanced together. All tensors of policy, objective and optimiser belong to these runs.

    Args:
        problem: gives pairs and sizes.
        policy: the policy.
        objective: the objective.
        optimizer: the optimiser.
        start: parameters of the reference, [run, parameter], on the device and in the dtype of the computation.
    """

    problem: Problem
    policy: Policy
    objective: Objective
    optimizer: Optimizer
    start: Tensor

    @cached_property
    def flat(self) -> Tensor:
        """Return where the pairs stand in a flat table, `Preferences.flat`, [2 * pair]."""
        return self.problem.preferences.flat(self.problem.responses).to(self.start.device)

    def train(
        self, steps: int, record: Record, batch: int, progress: Callable[[float], None] | None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Advance the runs by `steps` updates.

        Returns:
            The tape, [run, step, ...] each, and for every run the first recorded row that is not finite (the number of
            rows if none), [run].
        """
        shape = (self.problem.prompts, self.problem.responses)
        state = self.start.clone()
        memory = self.optimizer.memory(state)
        weights = pair_weights(self.problem.preferences, batch, self.problem.seeds, state)
        online = None if self.problem.online is None else OnlineWeights(self.problem, self.problem.online)
        rows = record.steps(steps)
        reference = self._reference(shape)
        pairs = PairView.of(self.problem, self.objective.needs, reference)
        tape = blank_tape(record, len(rows), reference, state, logits_only=self.policy.parameters_are_logits)
        # In a table the logits are the parameters: no term needs to be carried back, unless predictions ask for it.
        as_table = self.policy.parameters_are_logits and "predictions" not in record.keep
        # And where the normaliser cancels, log-probabilities are not needed until the tape is read.
        as_logits = as_table and self.objective.only_margin and online is None
        told = self.objective.whole  # the record speaks of both terms, and of all pairs
        in_part = told is not self.objective
        sampled = online is not None or batch not in (0, len(self.problem.preferences))
        row, recorded, table, gradient = 0, tape["log_prob"].unbind(0), state, torch.zeros_like(state)
        for step in range(steps + 1):
            if not as_logits:  # where they do, the table is the state itself
                logits, passed = self.policy.forward(state)
                log_prob = logits.log_softmax(-1)
                table = log_prob.view(reference.shape)
            recording = step == rows[row]
            if recording:
                recorded[row].copy_(table)
                if row % CHECK_EVERY == 0 and not bool(torch.isfinite(table).all()):
                    break
            seen = pairs(table)
            push = torch.cat(self.objective.response_weights(seen), 1)
            weight = next(weights) if online is None else online.at(step, log_prob)
            weighted = push * weight
            if as_table:
                gradient.zero_().index_add_(1, self.flat, weighted)
                if not as_logits:  # where it does cancel, the weights of a prompt sum to 0
                    total = gradient.view_as(log_prob)
                    total.addcmul_(log_prob.exp(), total.sum(-1, keepdim=True), value=-1)
            else:
                by_logit = self._by_logit(log_prob, weighted)
                # One reverse pass of the sum: what is recorded of the terms then never changes the run.
                gradient = self.policy.pullback(state, passed, by_logit.sum(1, keepdim=True))[:, 0]
            last = step == steps
            update = torch.zeros_like(state) if last else self.optimizer.update(gradient, memory, step + 1)
            if recording:
                if "parameters" in tape:
                    tape["parameters"][row] = state
                if in_part and not as_table:
                    push = torch.cat(told.response_weights(seen), 1)
                    by_logit = self._by_logit(log_prob, push * weight)
                if "parameter_cosine" in tape:
                    whole = by_logit
                    if sampled:
                        whole = self._by_logit(log_prob, push * self.problem.preferences.of_terms(push))
                    scale = whole.abs().amax((-2, -1)).unsqueeze(-1)  # far fewer entries, and J is linear
                    tape["parameter_log_norm"][row], tape["parameter_cosine"][row] = norms_and_cosine(
                        self.policy.pullback(state, passed, whole), scale
                    )
                if "predicted_change" in tape:
                    by_term = self.policy.pullback(state, passed, by_logit)
                    changes = self._changes(state, passed, log_prob, by_term, update)
                    tape["predicted_change"][row], tape["linear_change"][row] = changes[:, :2], changes[:, 2]
            state.add_(update)
            if recording and "realised_change" in tape:
                after = self.policy.forward(state)[0].log_softmax(-1).view_as(table)
                tape["realised_change"][row] = after - table
            row += recording and not last
            if progress and step % 25 == 0:
                progress(step / steps)
        for name in ("linear_change", "realised_change"):
            if name in tape:
                tape[name][-1] = torch.nan  # no step follows the last state
        tape = {name: value.transpose(0, 1) for name, value in tape.items()}
        if as_logits:
            tape["log_prob"] = tape["log_prob"].unflatten(-1, shape).log_softmax(-1).flatten(2)
        tape |= self._losses(pairs(tape["log_prob"]))
        broken = [first_broken(tape[name][:, : row + 1], len(rows)) for name in ("log_prob", "loss")]
        tape["reference_log_prob"] = reference
        for name in ("log_prob", "reference_log_prob", "predicted_change", "linear_change", "realised_change"):
            if name in tape:
                tape[name] = tape[name].unflatten(-1, shape)
        return tape, torch.minimum(*broken)

    def _reference(self, shape: tuple[int, int]) -> Tensor:
        reference = self.policy.forward(self.start)[0].log_softmax(-1)
        if reference.shape[1:] != shape:
            raise ValueError(
                f"the policy has {reference.shape[1]} prompts and {reference.shape[2]} responses, the problem has "
                f"{shape[0]} and {shape[1]}; build the policy with the problem's sizes"
            )
        return reference.flatten(1)

    def _by_logit(self, log_prob: Tensor, weighted: Tensor) -> Tensor:
        """Return the gradients of the chosen and the rejected term in logit space, [run, term, prompt, response]."""
        table = weight_table(weighted, self.flat, log_prob[0].numel()).unflatten(-1, log_prob.shape[1:])
        return logit_gradient(log_prob[:, None], table)

    def _changes(self, state: Tensor, passed: Any, log_prob: Tensor, by_term: Tensor, update: Tensor) -> Tensor:
        """Return first-order changes of log pi: by a plain step along either term, and by the actual update."""
        rate = self.optimizer.learning_rate(state)
        rate = rate[..., None] if isinstance(rate, Tensor) and rate.ndim else rate
        directions = torch.cat((-rate * by_term, update[:, None]), 1)
        along = self.policy.pushforward(state, passed, directions)
        return log_prob_change(log_prob[:, None], along).flatten(2)

    def _losses(self, pairs: PairLogProbs) -> dict[str, Tensor]:
        """Evaluate the objective on the whole tape in one pass."""
        told = self.objective.whole
        return {
            "loss": told.loss(pairs),
            "response_weight": torch.stack(told.response_weights(pairs), 2),
        }
