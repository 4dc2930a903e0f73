"""The step loop of one chunk of runs: it advances the state and writes a tape, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from lab.gradients import (
    log_prob_change,
    logit_gradient,
    scaled_gram,
    weight_table,
)
from lab.objectives import Objective
from lab.objectives.view import PairView
from lab.optimizers import Optimizer
from lab.policies import Policy, Workspace
from lab.problems import Problem
from lab.training.batches import pair_weights
from lab.training.online import OnlineWeights
from lab.training.recording import CHECK_EVERY, Record, first_broken
from lab.training.stages import Stage
from lab.training.tape import Grams, blocks


def reference_log_prob(policy: Policy, start: Tensor, problem: Problem) -> Tensor:
    """Return log pi_ref, [run, prompt * response].

    Raises:
        ValueError: if the policy's sizes are not the problem's.
    """
    reference = policy.forward(start)[0].log_softmax(-1)
    if reference.shape[1:] != (problem.prompts, problem.responses):
        raise ValueError(
            f"the policy has {reference.shape[1]} prompts and {reference.shape[2]} responses, the problem has "
            f"{problem.prompts} and {problem.responses}; build the policy with the problem's sizes"
        )
    return reference.flatten(1)


class _Way:
    """How far the runs have come; every stage takes them on from where the one before left them.

    Args:
        state: parameters, [run, parameter].
        reference: log pi_ref of the stage, [run, prompt * response].
        tape: what is written, [row, run, ...] each.
        rows: the recorded steps.
        weights: the pairs' weights of one step after the other.
        online: or those of what the policy draws.
        batched: whether a step sees only some of the pairs.
        progress: called with the finished share.
    """

    def __init__(
        self,
        state: Tensor,
        reference: Tensor,
        tape: dict[str, Tensor],
        rows: list[int],
        weights: Iterator[Tensor],
        online: OnlineWeights | None,
        batched: bool,
        progress: Callable[[float], None] | None,
    ) -> None:
        self.state, self.reference, self.tape, self.rows = state, reference, tape, rows
        self.weights, self.online, self.batched, self.progress = weights, online, batched, progress
        self.step = self.row = 0  # where the next stage begins
        self.optimizer: Optimizer | None = None  # of the stage before
        self.memory: tuple[Tensor, ...] = ()
        self.since = 0  # the step at which the memory was blank
        self.broken = False  # whether a run has left the numbers
        self.first_bad = torch.full((len(state),), len(rows), device=state.device)  # row of each run where it did


@dataclass(frozen=True)
class Chunk:
    """Runs that are advanced together. All tensors of policy, objective and optimiser belong to these runs.

    Args:
        problem: gives pairs and sizes.
        policy: the policy.
        objective: the objective.
        optimizer: the optimiser.
        start: parameters of the reference, [run, parameter], on the device and in the dtype of the computation.
        tape: where to write, [row, run, ...] each, as `lab.training.tape.shapes` says.
        then: the stages that follow.
    """

    problem: Problem
    policy: Policy
    objective: Objective
    optimizer: Optimizer
    start: Tensor
    tape: dict[str, Tensor]
    then: tuple[Stage, ...] = ()

    @cached_property
    def flat(self) -> Tensor:
        """Return where the pairs stand in a flat table, `Preferences.flat`, [2 * pair]."""
        return self.problem.preferences.flat(self.problem.responses).to(self.start.device)

    def train(
        self, steps: int, record: Record, batch: int, progress: Callable[[float], None] | None
    ) -> tuple[Tensor, Tensor]:
        """Advance the runs by `steps` updates, and by those of the stages that follow, and write the tape.

        A state is told of, in loss and gradients, by the stage that leaves from it: where one stage ends and the next
        begins, that is the next.

        Returns:
            The reference of the last stage, [run, prompt * response], and each run's first recorded row that is not
            finite (the number of rows if none), [run].
        """
        stages = (Stage(self.objective, self.optimizer, steps), *self.then)
        total = sum(stage.steps for stage in stages)
        rows = record.steps(total)
        start = reference_log_prob(self.policy, self.start, self.problem)
        state = self.start.clone()
        way = _Way(
            state,
            start,
            self.tape,
            rows,
            pair_weights(self.problem.preferences, batch, self.problem.seeds, state),
            None if self.problem.online is None else OnlineWeights(self.problem, self.problem.online),
            batch not in (0, len(self.problem.preferences)),
            progress,
        )
        for stage in stages:
            if stage.reference == "start":
                way.reference = start
            elif stage.reference == "stage":
                way.reference = self.policy.forward(way.state)[0].log_softmax(-1).flatten(1)
            self._advance(stage, way)
            if way.broken:
                break
        for name in ("linear_change", "realised_change"):
            if name in self.tape:
                self.tape[name][-1] = torch.nan  # no step follows the last state
        return way.reference, way.first_bad

    def _advance(self, stage: Stage, way: _Way) -> None:
        """Take the runs through one stage, and write what it tells of its recorded rows."""
        objective, optimizer, tape, state, rows = stage.objective, stage.optimizer, way.tape, way.state, way.rows
        if way.optimizer is None or type(optimizer) is not type(way.optimizer):
            way.memory, way.since = optimizer.memory(state), way.step
        way.optimizer = optimizer
        pairs = PairView.of(self.problem, objective.needs, way.reference)
        # In a table the logits are the parameters: no term needs to be carried back, unless predictions ask for it.
        as_table = self.policy.parameters_are_logits and "predicted_change" not in tape
        told = objective.whole  # the record speaks of both terms, and of all pairs
        # The record tells of all pairs, also where a step sees only some.
        whole = self.problem.preferences.of_terms(state) if way.batched or way.online is not None else None
        first, end = way.row, way.step + stage.steps
        final = end == rows[-1]
        space = Workspace()
        grams = Grams(tape, first) if "parameter_cosine" in tape else None
        row, recorded, gradient = first, tape["log_prob"].unbind(0), torch.zeros_like(state)
        for step in range(way.step, end + final):
            logits, passed = self.policy.forward(state, space)
            log_prob = logits.log_softmax(-1)
            table = log_prob.view(way.reference.shape)
            recording = step == rows[row]
            if recording:
                recorded[row].copy_(table)
                if row % CHECK_EVERY == 0 and not bool(torch.isfinite(table).all()):
                    way.broken = True
                    break
            seen = pairs(table)
            push = torch.cat(objective.response_weights(seen), 1)
            weight = next(way.weights) if way.online is None else way.online.at(step, log_prob)
            weighted = push * weight
            gram = None
            if as_table:
                gradient.zero_().index_add_(1, self.flat, weighted)
                total = gradient.view_as(log_prob)
                total.addcmul_(log_prob.exp(), total.sum(-1, keepdim=True), value=-1)
            else:
                by_logit = self._by_logit(log_prob, weighted)
                measured = recording and grams is not None and told is objective and whole is None
                gradient, gram = self.policy.pull(state, passed, by_logit, space, measured=measured)
            last, ahead = step == end, step + 1 - way.since
            if recording:
                if "parameters" in tape:
                    tape["parameters"][row] = state
                if told is not objective and not as_table:
                    push = torch.cat(told.response_weights(seen), 1)
                    by_logit = self._by_logit(log_prob, push * weight)
                if grams is not None:
                    if gram is None:
                        every = by_logit if whole is None else self._by_logit(log_prob, push * whole)
                        gram = scaled_gram(self.policy, state, passed, every, space)
                    grams.write(row, *gram)
                if "predicted_change" in tape:
                    by_term = self.policy.pullback(state, passed, by_logit, space)
                    remembered = tuple(part.clone() for part in way.memory)
                    update = torch.zeros_like(state) if last else optimizer.update(gradient, remembered, ahead)
                    changes = self._changes(optimizer, state, passed, log_prob, by_term, update)
                    tape["predicted_change"][row], tape["linear_change"][row] = changes[:, :2], changes[:, 2]
            if not last:
                optimizer.advance(state, gradient, way.memory, ahead)
            if recording and "realised_change" in tape:
                after = self.policy.forward(state)[0].log_softmax(-1).view_as(table)
                tape["realised_change"][row] = after - table
            row += recording and not last
            if way.progress and step % 25 == 0:
                way.progress(step / rows[-1])
        way.step, way.row = end, row
        stop = row + (final or way.broken)
        if grams is not None:
            grams.tell(row if way.broken else stop)
        for some in blocks(range(first, stop), way.reference.numel()):
            if way.progress and some.start > first:
                way.progress(step / rows[-1])
            seen = pairs(tape["log_prob"][some].transpose(0, 1))
            tape["loss"][some] = told.loss(seen).transpose(0, 1)
            tape["response_weight"][some] = torch.stack(told.response_weights(seen), 2).transpose(0, 1)
            for name in ("log_prob", "loss"):
                bad = first_broken(tape[name][some].transpose(0, 1), len(rows), some.start)
                way.first_bad = torch.minimum(way.first_bad, bad)

    def _by_logit(self, log_prob: Tensor, weighted: Tensor) -> Tensor:
        """Return the gradients of the chosen and the rejected term in logit space, [run, term, prompt, response]."""
        table = weight_table(weighted, self.flat, log_prob[0].numel()).unflatten(-1, log_prob.shape[1:])
        return logit_gradient(log_prob[:, None], table)

    def _changes(
        self, optimizer: Optimizer, state: Tensor, passed: Any, log_prob: Tensor, by_term: Tensor, update: Tensor
    ) -> Tensor:
        """Return first-order changes of log pi: by a plain step along either term, and by the actual update."""
        rate = optimizer.learning_rate(state)
        rate = rate[..., None] if isinstance(rate, Tensor) and rate.ndim else rate
        directions = torch.cat((-rate * by_term, update[:, None]), 1)
        along = self.policy.pushforward(state, passed, directions)
        return log_prob_change(log_prob[:, None], along).flatten(2)
