"""One step of whole parameters: it writes what is kept of a state, and moves the state on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from lab.gradients import log_prob_change, logit_gradient, scaled_gram, weight_table
from lab.objectives import Objective
from lab.objectives.view import PairView
from lab.optimizers import Optimizer
from lab.policies import Policy, Workspace
from lab.problems import Problem

# What a step writes of a state, where the record keeps it; and "gram" and "scale", of `lab.gradients.scaled_gram`.
WRITTEN = ("log_prob", "parameters", "predicted_change", "linear_change", "realised_change")


class Update:
    """A step of one stage, for all runs of a chunk at once.

    Every tensor that it reads or writes stays where it is, and what else changes from step to step is given to the
    call: steps can be captured once and replayed (`lab.training.graphs`), and nothing in them waits for a device.

    Args:
        problem: gives pairs and sizes.
        policy: the policy.
        objective: the objective of the stage.
        optimizer: the optimiser of the stage.
        state: parameters, [run, parameter], moved in place.
        memory: what the optimiser remembers, advanced in place.
        reference: log pi_ref of the stage, [run, prompt * response].
        flat: where the pairs stand in a flat table, `Preferences.flat`, on the device.
        partial: whether a step may see only some of the pairs, while the record tells of all.
        as_logits: whether parameters are logits and nothing that is kept needs a term carried back to them.
    """

    def __init__(
        self,
        problem: Problem,
        policy: Policy,
        objective: Objective,
        optimizer: Optimizer,
        *,
        state: Tensor,
        memory: tuple[Tensor, ...],
        reference: Tensor,
        flat: Tensor,
        partial: bool,
        as_logits: bool,
    ) -> None:
        self.policy, self.objective, self.optimizer = policy, objective, optimizer
        self.state, self.memory, self.flat, self.as_logits = state, memory, flat, as_logits
        self.told = objective.whole  # the record speaks of both terms, and of all pairs
        self.pairs = PairView.of(problem, objective.needs, reference)
        self.whole = problem.preferences.of_terms(state) if partial else None
        self.shape = reference.shape
        self.gradient, self.space = torch.zeros_like(state), Workspace()

    def __call__(
        self,
        weight: Tensor | Callable[[Tensor], Tensor],
        ahead: int | Tensor,
        rows: Mapping[str, Tensor] | None = None,
        *,
        moves: bool = True,
    ) -> None:
        """Write what is kept of the state, and move it on.

        Args:
            weight: the pairs' weights, twice, [2 * pair] or [run, 2 * pair]; or what gives them, of log pi.
            ahead: the number of this step since the optimiser's memory was blank, from 1.
            rows: where to write what is kept of this state, [run, ...] each; None keeps nothing.
            moves: whether the state moves on; no step follows the last one.
        """
        state, space = self.state, self.space
        logits, passed = self.policy.forward(state, space)
        log_prob = logits.log_softmax(-1)
        table = log_prob.view(self.shape)
        if rows is not None:
            rows["log_prob"].copy_(table)
        seen = self.pairs(table)
        push = torch.cat(self.objective.response_weights(seen), 1)
        of_pairs = weight if isinstance(weight, Tensor) else weight(log_prob)
        weighted = push * of_pairs
        gram = None
        if self.as_logits:
            gradient = self.gradient.zero_().index_add_(1, self.flat, weighted)
            total = gradient.view_as(log_prob)
            total.addcmul_(log_prob.exp(), total.sum(-1, keepdim=True), value=-1)
        else:
            by_logit = self._by_logit(log_prob, weighted)
            measured = rows is not None and "gram" in rows and self.told is self.objective and self.whole is None
            gradient, gram = self.policy.pull(state, passed, by_logit, space, measured=measured)
        if rows is not None:
            if "parameters" in rows:
                rows["parameters"].copy_(state)
            if self.told is not self.objective and not self.as_logits:
                push = torch.cat(self.told.response_weights(seen), 1)
                by_logit = self._by_logit(log_prob, push * of_pairs)
            if "gram" in rows:
                if gram is None:
                    every = by_logit if self.whole is None else self._by_logit(log_prob, push * self.whole)
                    gram = scaled_gram(self.policy, state, passed, every, space)
                rows["gram"].copy_(gram[0])
                rows["scale"].copy_(gram[1])
            if "predicted_change" in rows:
                changes = self._changes(passed, log_prob, by_logit, gradient, ahead if moves else None)
                rows["predicted_change"].copy_(changes[:, :2])
                rows["linear_change"].copy_(changes[:, 2])
        if moves:
            self.optimizer.advance(state, gradient, self.memory, ahead)
            if rows is not None and "realised_change" in rows:
                after = self.policy.forward(state)[0].log_softmax(-1).view_as(table)
                torch.sub(after, table, out=rows["realised_change"])

    def _by_logit(self, log_prob: Tensor, weighted: Tensor) -> Tensor:
        """Return the gradients of the chosen and the rejected term in logit space, [run, term, prompt, response]."""
        table = weight_table(weighted, self.flat, log_prob[0].numel()).unflatten(-1, log_prob.shape[1:])
        return logit_gradient(log_prob[:, None], table)

    def _changes(
        self, passed: Any, log_prob: Tensor, by_logit: Tensor, gradient: Tensor, ahead: int | Tensor | None
    ) -> Tensor:
        """Return first-order changes of log pi: by a plain step along either term, and by the update to come, if any.

        [run, 3, prompt * response].
        """
        by_term = self.policy.pullback(self.state, passed, by_logit, self.space)
        update = torch.zeros_like(self.state)
        if ahead is not None:
            update = self.optimizer.update(gradient, tuple(part.clone() for part in self.memory), ahead)
        rate = self.optimizer.learning_rate(self.state)
        rate = rate[..., None] if isinstance(rate, Tensor) and rate.ndim else rate
        directions = torch.cat((-rate * by_term, update[:, None]), 1)
        along = self.policy.pushforward(self.state, passed, directions)
        return log_prob_change(log_prob[:, None], along).flatten(2)
