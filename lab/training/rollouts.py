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
from lab.training.recording import CHECK_EVERY, Record, first_broken
from lab.training.sending import sent
from lab.training.tape import blocks


@dataclass(frozen=True)
class RolloutChunk:
    """Runs that are advanced together. All tensors of policy, method and optimiser belong to these runs.

    Args:
        problem: gives prompts, seeds, the pairs that the record speaks of, and the true reward.
        policy: the policy.
        method: how it climbs.
        optimizer: the optimiser.
        start: parameters of the reference, [run, parameter], on the device and in the dtype of the computation.
        tape: where to write, [row, run, ...] each, as `lab.training.tape.shapes` says.
    """

    problem: Problem
    policy: Policy
    method: PolicyGradient
    optimizer: Optimizer
    start: Tensor
    tape: dict[str, Tensor]

    def train(
        self, steps: int, record: Record, batch: int, progress: Callable[[float], None] | None
    ) -> tuple[Tensor, Tensor]:
        """Advance the runs by `steps` updates and write the tape; each batch serves `method.epochs` of them.

        Returns:
            As `Chunk.train`. `loss` is -(E r - beta KL) of the pair's prompt, `response_weight` its slope in the logits
            of the two responses.
        """
        state = self.start.clone()
        memory = self.optimizer.memory(state)
        rows = record.steps(steps)
        logits, passed = self.policy.forward(state)
        reference = logits.log_softmax(-1)
        reward, tape = self._reward(reference), self.tape
        shape = (self.problem.prompts, self.method.samples)
        draws = uniforms(self.problem.seeds, ROLLOUTS, *shape) if self.method.samples else None
        asked = self._asked().to(reference.device)
        by_log_prob = torch.zeros_like(reference)
        row, space = 0, Workspace()
        looks = state.device.type == "cpu"  # elsewhere a look waits for the device
        for step in range(steps + 1):
            logits, passed = self.policy.forward(state, space)
            log_prob = logits.log_softmax(-1)
            recording = step == rows[row]
            if recording:
                tape["log_prob"][row] = log_prob.flatten(1)
                if "parameters" in tape:
                    tape["parameters"][row] = state
                if looks and row % CHECK_EVERY == 0 and not bool(torch.isfinite(log_prob).all()):
                    break
            if step == steps:
                break
            if step % self.method.epochs == 0:
                share = None if draws is None else self._share(log_prob, sent(next(draws), log_prob.device))[:, asked]
                drawn = self.method.batch(log_prob[:, asked], reference[:, asked], reward[:, asked], share)
            by_log_prob[:, asked] = self.method.weights(log_prob[:, asked], reference[:, asked], drawn)
            by_logit = logit_gradient(log_prob[:, None], by_log_prob[:, None])
            gradient = self.policy.pullback(state, passed, by_logit, space)[:, 0]
            self.optimizer.advance(state, gradient, memory, step + 1)
            row += recording
            if progress and step % 25 == 0:
                progress(step / steps)
        return reference.flatten(1), self._tell(range(row + 1), reference, reward, progress)

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
    def _share(log_prob: Tensor, uniform: Tensor) -> Tensor:
        """Draw responses by their cumulative probability; return each one's share, [run, prompt, response]."""
        cell = draw_cells(log_prob.double().exp(), uniform)
        share = torch.zeros_like(log_prob)
        return share.scatter_add_(-1, cell, torch.full_like(cell, 1.0, dtype=share.dtype)) / uniform.shape[-1]

    def _tell(self, rows: range, reference: Tensor, reward: Tensor, look: Callable[[float], None] | None) -> Tensor:
        """Evaluate what is climbed at the pairs of some rows; return each run's first row that is not finite, [run]."""
        pairs, tape = self.problem.preferences, self.tape
        bad = torch.full((len(reference),), len(tape["loss"]), device=reference.device)
        flat, prompt = pairs.flat(self.problem.responses).to(reference.device), pairs.prompt.to(reference.device)
        for some in blocks(rows, reference.numel(), reference.device):
            if look and some.start:
                look(1.0)
            log_prob = tape["log_prob"][some].transpose(0, 1).unflatten(-1, reference.shape[1:])
            taped = (log_prob, reference[:, None], reward[:, None])
            tape["loss"][some] = self.method.loss(*taped).index_select(-1, prompt).transpose(0, 1)
            pushes = pick_pairs(self.method.slope(*taped).flatten(2), flat)
            tape["response_weight"][some] = torch.stack(pushes, 2).transpose(0, 1)
            for name in ("log_prob", "loss"):
                bad = torch.minimum(bad, first_broken(tape[name][some].transpose(0, 1), len(tape[name]), some.start))
        return bad
