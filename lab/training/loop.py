"""The step loop of one chunk of runs: it advances the state and writes a tape, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from lab.objectives import Objective
from lab.optimizers import Optimizer
from lab.policies import Policy
from lab.problems import Problem
from lab.training.batches import pair_weights
from lab.training.graphs import PAYS, Block, Blocks, Capture
from lab.training.online import OnlineWeights
from lab.training.recording import CHECK_EVERY, Record, first_broken
from lab.training.stages import Stage
from lab.training.tape import Grams, blocks
from lab.training.update import WRITTEN, Update


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
        rows: the recorded steps.
        weights: the pairs' weights of one step after the other.
        online: or those of what the policy draws.
        batched: whether a step sees only some of the pairs.
        every: the stride of recorded steps.
        progress: called with the finished share.
    """

    def __init__(
        self,
        state: Tensor,
        reference: Tensor,
        rows: list[int],
        weights: Iterator[Tensor],
        online: OnlineWeights | None,
        batched: bool,
        every: int,
        progress: Callable[[float], None] | None,
    ) -> None:
        self.state, self.reference, self.rows = state, reference, rows
        self.weights, self.online, self.batched = weights, online, batched
        self.every, self.progress = every, progress
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
        capture: captures blocks of steps where the state lies, if that can be done.
    """

    problem: Problem
    policy: Policy
    objective: Objective
    optimizer: Optimizer
    start: Tensor
    tape: dict[str, Tensor]
    then: tuple[Stage, ...] = ()
    capture: Capture | None = None

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
            rows,
            pair_weights(self.problem.preferences, batch, self.problem.seeds, state),
            None if self.problem.online is None else OnlineWeights(self.problem, self.problem.online, state.device),
            batch not in (0, len(self.problem.preferences)),
            record.every,
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
        rows, written = way.rows, {name: self.tape[name] for name in WRITTEN if name in self.tape}
        if way.optimizer is None or type(stage.optimizer) is not type(way.optimizer):
            way.memory, way.since = stage.optimizer.memory(way.state), way.step
        way.optimizer = stage.optimizer
        update = Update(
            self.problem,
            self.policy,
            stage.objective,
            stage.optimizer,
            state=way.state,
            memory=way.memory,
            reference=way.reference,
            flat=self.flat,
            partial=way.batched or way.online is not None,
            # In a table the logits are the parameters: no term needs to be carried back, unless predictions ask for it.
            as_logits=self.policy.parameters_are_logits and "predicted_change" not in written,
        )
        first, end = way.row, way.step + stage.steps
        final = end == rows[-1]
        grams = Grams(self.tape, first) if "parameter_cosine" in self.tape else None
        captured = self._captured(update, stage, way, written, grams)
        looks = way.state.device.type == "cpu"  # elsewhere a look waits for the device
        step, row, places = way.step, first, {name: value.unbind(0) for name, value in written.items()}
        while step < end + final:
            if captured is not None and captured.block.fits(step, end):
                captured(step + 1 - way.since, row)
                step, row = step + captured.block.steps, row + captured.block.rows
                if way.progress:
                    way.progress(step / rows[-1])
                continue
            kept = None
            if step == rows[row]:
                kept = {name: place[row] for name, place in places.items()}
                if grams is not None:
                    kept["gram"], kept["scale"] = grams.room(row)
            weight = next(way.weights) if way.online is None else partial(way.online.at, step)
            update(weight, step + 1 - way.since, kept, moves=step < end)
            if kept is not None:
                if looks and row % CHECK_EVERY == 0 and not bool(torch.isfinite(kept["log_prob"]).all()):
                    way.broken = True
                    break
                row += step < end
            if way.progress and step % 25 == 0:
                way.progress(step / rows[-1])
            step += 1
        way.step, way.row = end, row
        stop = row + (final or way.broken)
        if grams is not None:
            grams.tell(row if way.broken else stop)
        self._tell(update, range(first, stop), way)

    def _captured(
        self, update: Update, stage: Stage, way: _Way, written: dict[str, Tensor], grams: Grams | None
    ) -> Blocks | None:
        """Return what takes whole blocks of steps at once, if there is a way to capture them and it pays."""
        block = Block.of(way.every)
        if self.capture is None or way.online is not None or way.batched or stage.steps < PAYS * block.steps:
            return None
        return Blocks(update, next(way.weights), written, grams, block, self.capture)

    def _tell(self, update: Update, rows: range, way: _Way) -> None:
        """Write losses and response weights of some rows, and find the first that is not finite."""
        tape = self.tape
        for some in blocks(rows, way.reference.numel(), way.state.device):
            if way.progress and some.start > rows.start:
                way.progress(way.step / way.rows[-1])
            seen = update.pairs(tape["log_prob"][some].transpose(0, 1))
            tape["loss"][some] = update.told.loss(seen).transpose(0, 1)
            tape["response_weight"][some] = torch.stack(update.told.response_weights(seen), 2).transpose(0, 1)
            for name in ("log_prob", "loss"):
                bad = first_broken(tape[name][some].transpose(0, 1), len(way.rows), some.start)
                way.first_bad = torch.minimum(way.first_bad, bad)
