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
from lab.training.recording import Record, blank_tape, by_run, first_broken


@dataclass(frozen=True)
class ScoreChunk:
    """Reward models that are advanced together. All tensors of network, objective and optimiser belong to these runs.

    Args:
        problem: gives pairs and sizes.
        policy: the network, whose logits are the rewards.
        objective: the loss of the rewards.
        optimizer: the optimiser.
        start: parameters to begin with, [run, parameter], on the device and in the dtype of the computation.
    """

    problem: Problem
    policy: Policy
    objective: BradleyTerry
    optimizer: Optimizer
    start: Tensor

    def train(
        self, steps: int, record: Record, batch: int, progress: Callable[[float], None] | None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Advance the runs by `steps` updates.

        Returns:
            As `Chunk.train`, with the rewards as `score`. `log_prob` is the policy that they stand for, the softmax of
            the scores: its reference is the even one and its beta is 1, so that implicit rewards are the scores. The
            gradients of the two terms are those in the network's parameters, with no softmax on the way.
        """
        state = self.start.clone()
        memory = self.optimizer.memory(state)
        rows = record.steps(steps)
        pairs = self.problem.preferences
        weights = pair_weights(pairs, batch, self.problem.seeds, state)
        flat = pairs.flat(self.problem.responses).to(state.device)
        score, passed = self.policy.forward(state)
        shape = score.shape[1:]
        even = torch.full_like(score, -math.log(shape[1]))
        kept = Record(record.every, tuple(word for word in record.keep if word != "predictions"))
        tape = blank_tape(kept, len(rows), even.flatten(1), state, logits_only=self.policy.parameters_are_logits)
        row, space = 0, Workspace()
        for step in range(steps + 1):
            score, passed = self.policy.forward(state, space)
            recording = step == rows[row]
            if recording:
                tape["log_prob"][row] = score.flatten(1)  # scores until the tape is read
                if "parameters" in tape:
                    tape["parameters"][row] = state
            if step == steps and "gram" not in tape:
                break
            push = torch.cat(self.objective.response_weights(self._pairs(score.flatten(1), flat)), 1)
            if recording and "gram" in tape:
                # The record speaks of the whole loss, whatever the batch.
                terms = weight_table(push * pairs.of_terms(push), flat, score[0].numel()).unflatten(-1, shape)
                tape["gram"][row], tape["scale"][row] = scaled_gram(self.policy, state, passed, terms, space)
            if step == steps:
                break
            table = weight_table(push * next(weights), flat, score[0].numel()).sum(1).unflatten(1, shape)
            gradient = self.policy.pullback(state, passed, table[:, None], space)[:, 0]
            self.optimizer.advance(state, gradient, memory, step + 1)
            row += recording
            if progress and step % 25 == 0:
                progress(step / steps)
        tape = by_run(tape)
        scores = tape.pop("log_prob")
        seen = self._pairs(scores, flat)
        tape |= {
            "score": scores.unflatten(-1, shape),
            "log_prob": scores.unflatten(-1, shape).log_softmax(-1),
            "reference_log_prob": even,
            "loss": self.objective.loss(seen),
            "response_weight": torch.stack(self.objective.response_weights(seen), 2),
        }
        broken = [first_broken(value, len(rows)) for value in (scores, tape["loss"])]
        return tape, torch.minimum(*broken)

    @staticmethod
    def _pairs(scores: Tensor, flat: Tensor) -> PairLogProbs:
        chosen, rejected = pick_pairs(scores, flat)
        zero = torch.zeros_like(chosen)
        return PairLogProbs(chosen, rejected, zero, zero)
