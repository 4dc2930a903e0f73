"""The step loop of reward models: the network's raw outputs are rewards, and no softmax stands between."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.gradients import pick_pairs, scaled_gram, weight_table
from lab.objectives import BradleyTerry, PairLogProbs
from lab.optimizers import Optimizer
from lab.policies import Policy, Workspace
from lab.problems import Problem
from lab.training.batches import pair_weights
from lab.training.recording import Record, first_broken
from lab.training.tape import Grams, blocks


@dataclass(frozen=True)
class ScoreChunk:
    """Reward models that are advanced together. All tensors of network, objective and optimiser belong to these runs.

    Args:
        problem: gives pairs and sizes.
        policy: the network, whose logits are the rewards.
        objective: the loss of the rewards.
        optimizer: the optimiser.
        start: parameters to begin with, [run, parameter], on the device and in the dtype of the computation.
        tape: where to write, [row, run, ...] each, as `lab.training.tape.shapes` says.
    """

    problem: Problem
    policy: Policy
    objective: BradleyTerry
    optimizer: Optimizer
    start: Tensor
    tape: dict[str, Tensor]

    def train(
        self, steps: int, record: Record, batch: int, progress: Callable[[float], None] | None
    ) -> tuple[Tensor, Tensor]:
        """Advance the runs by `steps` updates and write the tape.

        Returns:
            As `Chunk.train`. `score` are the rewards, `log_prob` is the policy that they stand for, the softmax of
            the scores: its reference is the even one and its beta is 1, so that implicit rewards are the scores. The
            gradients of the two terms are those in the network's parameters, with no softmax on the way.
        """
        state = self.start.clone()
        memory = self.optimizer.memory(state)
        rows = record.steps(steps)
        pairs = self.problem.preferences
        weights, whole = pair_weights(pairs, batch, self.problem.seeds, state), pairs.of_terms(state)
        flat = pairs.flat(self.problem.responses).to(state.device)
        score, passed = self.policy.forward(state)
        shape = score.shape[1:]
        even = torch.full_like(score, -math.log(shape[1])).flatten(1)
        tape = self.tape
        grams = Grams(tape) if "parameter_cosine" in tape else None
        row, space = 0, Workspace()
        for step in range(steps + 1):
            score, passed = self.policy.forward(state, space)
            recording = step == rows[row]
            if recording:
                tape["score"][row] = score.flatten(1)
                if "parameters" in tape:
                    tape["parameters"][row] = state
            if step == steps and grams is None:
                break
            push = torch.cat(self.objective.response_weights(self._pairs(score.flatten(1), flat)), 1)
            if recording and grams is not None:
                # The record speaks of the whole loss, whatever the batch.
                terms = weight_table(push * whole, flat, score[0].numel()).unflatten(-1, shape)
                grams.write(row, *scaled_gram(self.policy, state, passed, terms, space))
            if step == steps:
                break
            table = weight_table(push * next(weights), flat, score[0].numel()).sum(1).unflatten(1, shape)
            gradient = self.policy.pullback(state, passed, table[:, None], space)[:, 0]
            self.optimizer.advance(state, gradient, memory, step + 1)
            row += recording
            if progress and step % 25 == 0:
                progress(step / steps)
        if grams is not None:
            grams.tell(len(rows))
        bad = torch.full((len(state),), len(rows), device=state.device)
        for some in blocks(range(len(rows)), even.numel(), even.device):
            if progress and some.start:
                progress(1.0)
            scores = tape["score"][some]
            tape["log_prob"][some] = scores.unflatten(-1, shape).log_softmax(-1).flatten(2)
            seen = self._pairs(scores.transpose(0, 1), flat)
            tape["loss"][some] = self.objective.loss(seen).transpose(0, 1)
            tape["response_weight"][some] = torch.stack(self.objective.response_weights(seen), 2).transpose(0, 1)
            for name in ("score", "loss"):
                bad = torch.minimum(bad, first_broken(tape[name][some].transpose(0, 1), len(rows), some.start))
        return even, bad

    @staticmethod
    def _pairs(scores: Tensor, flat: Tensor) -> PairLogProbs:
        chosen, rejected = pick_pairs(scores, flat)
        zero = torch.zeros_like(chosen)
        return PairLogProbs(chosen, rejected, zero, zero)
