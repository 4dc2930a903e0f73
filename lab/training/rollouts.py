"""The step loop of runs that learn from what they draw: it advances the state and writes a tape, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.estimators import PolicyGradient
from lab.gradients import logit_gradient, pick_pairs
from lab.optimizers import Optimizer
from lab.policies import Policy, Workspace
from lab.problems import Problem
from lab.randomness import ROLLOUTS, draw_cells, uniforms
from lab.training.recording import CHECK_EVERY, Record, blank_tape, by_run, first_broken


@dataclass(frozen=True)
class RolloutChunk:
    """Runs that are advanced together. All tensors of policy, method and optimiser belong to these runs.

    Args:
        problem: gives prompts, seeds, the pairs that the record speaks of, and the true reward.
        policy: the policy.
        method: how it climbs.
        optimizer: the optimiser.
        start: parameters of the reference, [run, parameter], on the device and in the dtype of the computation.
    """

    problem: Problem
    policy: Policy
    method: PolicyGradient
    optimizer: Optimizer
    start: Tensor

    def train(
        self, steps: int, record: Record, batch: int, progress: Callable[[float], None] | None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Advance the runs by `steps` updates; each batch serves `method.epochs` of them.

        Returns:
            As `Chunk.train`. `loss` is -(E r - beta KL) of the pair's prompt, `response_weight` its slope in the logits
            of the two responses.
        """
        state = self.start.clone()
        memory = self.optimizer.memory(state)
        rows = record.steps(steps)
        logits, passed = self.policy.forward(state)
        reference = logits.log_softmax(-1)
        reward = self._reward(reference)
        tape = blank_tape(
            Record(record.every, self._kept(record)), len(rows), reference.flatten(1), state, logits_only=True
        )
        shape = (self.problem.prompts, self.method.samples)
        draws = uniforms(self.problem.seeds, ROLLOUTS, *shape) if self.method.samples else None
        asked = self._asked().to(reference.device)
        by_log_prob = torch.zeros_like(reference)
        row, space = 0, Workspace()
        for step in range(steps + 1):
            logits, passed = self.policy.forward(state, space)
            log_prob = logits.log_softmax(-1)
            recording = step == rows[row]
            if recording:
                tape["log_prob"][row] = log_prob.flatten(1)
                if "parameters" in tape:
                    tape["parameters"][row] = state
                if row % CHECK_EVERY == 0 and not bool(torch.isfinite(log_prob).all()):
                    break
            if step == steps:
                break
            if step % self.method.epochs == 0:
                share = None if draws is None else self._share(log_prob, next(draws))[:, asked]
                drawn = self.method.batch(log_prob[:, asked], reference[:, asked], reward[:, asked], share)
            by_log_prob[:, asked] = self.method.weights(log_prob[:, asked], reference[:, asked], drawn)
            by_logit = logit_gradient(log_prob[:, None], by_log_prob[:, None])
            gradient = self.policy.pullback(state, passed, by_logit, space)[:, 0]
            self.optimizer.advance(state, gradient, memory, step + 1)
            row += recording
            if progress and step % 25 == 0:
                progress(step / steps)
        tape = by_run(tape)
        tape |= self._told(tape["log_prob"].unflatten(-1, reference.shape[1:]), reference, reward)
        broken = [first_broken(tape[name][:, : row + 1], len(rows)) for name in ("log_prob", "loss")]
        tape["log_prob"] = tape["log_prob"].unflatten(-1, reference.shape[1:])
        tape["reference_log_prob"] = reference
        return tape, torch.minimum(*broken)

    def _asked(self) -> Tensor:
        """Return the prompts that responses are drawn for."""
        if self.method.rollouts == "all":
            return torch.arange(self.problem.prompts)
        pairs = self.problem.preferences
        return pairs.prompt[pairs.weight.reshape(-1, len(pairs)).gt(0).any(0).cpu()].unique()

    def _reward(self, reference: Tensor) -> Tensor:
        reward = self.problem.reward if self.method.reward is None else self.method.reward
        if reward is None:
            raise ValueError(
                f"{type(self.method).__name__} climbs a reward and there is none: give the problem a true reward, or "
                "the method a learned one"
            )
        if reward.shape != reference.shape:
            raise ValueError(
                f"the reward has shape {tuple(reward.shape)}; it must be [run, prompt, response], here "
                f"{tuple(reference.shape)}"
            )
        return reward.to(reference)

    @staticmethod
    def _kept(record: Record) -> tuple[str, ...]:
        """Keep the parameters if asked; gradients of two terms and predictions are those of pairs."""
        return tuple(word for word in record.keep if word == "parameters")

    @staticmethod
    def _share(log_prob: Tensor, uniform: Tensor) -> Tensor:
        """Draw responses by their cumulative probability; return each one's share, [run, prompt, response]."""
        cell = draw_cells(log_prob.double().exp(), uniform.to(log_prob.device))
        share = torch.zeros_like(log_prob)
        return share.scatter_add_(-1, cell, torch.full_like(cell, 1.0, dtype=share.dtype)) / uniform.shape[-1]

    def _told(self, log_prob: Tensor, reference: Tensor, reward: Tensor) -> dict[str, Tensor]:
        """Evaluate what is climbed on the whole tape in one pass, at the pairs."""
        pairs = self.problem.preferences
        taped = (log_prob, reference[:, None], reward[:, None])
        flat = pairs.flat(self.problem.responses).to(log_prob.device)
        slope = self.method.slope(*taped).flatten(2)
        return {
            "loss": self.method.loss(*taped).index_select(-1, pairs.prompt.to(log_prob.device)),
            "response_weight": torch.stack(pick_pairs(slope, flat), 2),
        }
