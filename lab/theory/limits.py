"""What becomes of the two pushes of an objective at the ends of the plane of log-ratios; computed, never typed in."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.objectives import Objective
from lab.theory.places import TERMS, Places
from lab.theory.tails import FAR, Tail, follow

FAMILIES = ("never stops", "stops at a target", "anchored", "reference-free", "pushes both down")
CERTAIN = 600.0  # pi(chosen) = 1 - exp(-600)
EDGE, _SPACING = 40.0, 0.5  # nats: of the plane (u, v) that is searched for pushes the wrong way
_SAME = 1e-9  # relative
_ROUNDING = 1e-12  # of a push near 0, as a share of its size at the start
_BESIDE = 1e-7  # how far beside a turn the push is looked at, relative


@dataclass(frozen=True)
class Ends:
    """How the pushes on both responses end along one ray.

    Args:
        chosen: the tail of a⁺.
        rejected: the tail of a⁻.
    """

    chosen: Tail
    rejected: Tail


@dataclass(frozen=True)
class Turn:
    """A margin at which a push changes along u = -v.

    Args:
        term: "chosen" or "rejected".
        margin: u - v, or c - r for an objective without a reference, nats.
        how: "turns" (changes sign), "stops" (becomes 0) or "starts" (was 0 before).
    """

    term: str
    margin: float
    how: str


@dataclass(frozen=True)
class Limits:
    """The ends of an objective's pushes, a⁺ = dL/d log pi(chosen) and a⁻ = dL/d log pi(rejected).

    Args:
        start: a⁺ and a⁻ at u = v = 0, both responses at 0.45.
        rejected_gone: as pi(rejected) -> 0, v = -t, while u = 0.
        chosen_certain: as pi(chosen) -> 1 - exp(-t) from 0.45, while v = -1.
        far_right: at large margins, u = -v = t.
        far_wrong: far on the wrong side, u = -v = -t.
        turns: where the pushes stop, start or turn round along u = -v, from the smallest margin on.
        balanced: whether a⁺ = -a⁻ everywhere.
        reads_reference: whether the pushes depend on the reference.
        only_margin: whether they depend on u - v alone (on c - r without a reference).
        lowers_chosen: the state (u, v) nearest to the start in which the chosen response is pushed down, in steps of
            0.5 nats; None if there is none within 40 nats.
        raises_rejected: likewise where the rejected response is pushed up.
    """

    start: tuple[float, float]
    rejected_gone: Ends
    chosen_certain: Ends
    far_right: Ends
    far_wrong: Ends
    turns: tuple[Turn, ...]
    balanced: bool
    reads_reference: bool
    only_margin: bool
    lowers_chosen: tuple[float, float] | None
    raises_rejected: tuple[float, float] | None

    def target(self, term: str) -> Turn | None:
        """Return where the push towards a larger margin ends for good, or None if it goes on for ever."""
        end = self.far_right.chosen if term == "chosen" else self.far_right.rejected
        right_way = end.law not in ("none", "cutoff") and end.sign == {"chosen": -1, "rejected": 1}[term]
        own = [turn for turn in self.turns if turn.term == term]
        return own[-1] if own and not right_way else None

    @property
    def chosen_outlives(self) -> bool:
        """Return whether, as pi(rejected) -> 0, the chosen response is still pushed up and the rejected one not down.

        A loss of this kind goes on holding the chosen response where another prompt's updates would take it along.
        """
        chosen, rejected = self.rejected_gone.chosen, self.rejected_gone.rejected
        return chosen.sign < 0 and not chosen.vanishes and (rejected.sign <= 0 or rejected.vanishes)

    @property
    def family(self) -> str:
        """Return the family, one of FAMILIES, by the first of these that holds.

        1. reference-free: the pushes do not depend on the reference.
        2. pushes both down: at large margins the chosen response is pushed down without having turned round.
        3. anchored: not a function of the margin, and the chosen response's push survives pi(rejected) -> 0.
        4. stops at a target: both pushes stop or turn round for good at some margin.
        5. never stops: the rest; whatever the margin, there is a push towards a larger one.
        """
        if not self.reads_reference:
            return "reference-free"
        if self.far_right.chosen.sign > 0 and self.target("chosen") is None:
            return "pushes both down"
        if not self.only_margin and not self.rejected_gone.chosen.vanishes:
            return "anchored"
        if self.target("chosen") and self.target("rejected"):
            return "stops at a target"
        return "never stops"


def limits(objective: Objective, *, chosen_length: float = 1.0, rejected_length: float = 1.0) -> Limits:
    """Compute the limits of an objective's pushes by evaluating it, out to log-ratios of 10,000 nats.

    One prompt with one pair is asked: an objective that couples pairs is then DPO. To a loss, u and v are free; the
    reference is as unlikely as a large u needs.

    Args:
        objective: the objective; one number for each of its settings.
        chosen_length: tokens of the chosen response.
        rejected_length: tokens of the rejected response.

    Returns:
        The limits.

    Raises:
        ValueError: if a setting has several values.

    Source: own construction; tests/test_theory_limits.py.
    """
    lengths = (chosen_length, rejected_length)

    def ends(ray: Callable[[Tensor], Places], far: float = FAR) -> Ends:
        pushes = (lambda t, term=term: ray(t).weights(objective, lengths)[term] for term in (0, 1))
        return Ends(*(follow(push, far) for push in pushes))

    zero = torch.zeros(1, dtype=torch.float64)
    here = Places.at(zero, zero).weights(objective, lengths)
    size = max(abs(float(push)) for push in here)
    plane, anywhere = _plane(), _anywhere()
    down, up = (_nearest(plane, way * push > _SAME * size)
                for way, push in zip((1, -1), plane.weights(objective, lengths), strict=True))  # fmt: skip

    def alike(one: Tensor, other: Tensor) -> bool:
        return bool(((one - other).abs() <= _SAME * one.abs() + _ROUNDING * size).all())

    def depends_not_on(moved: Places) -> bool:
        return all(map(alike, anywhere.weights(objective, lengths), moved.weights(objective, lengths)))

    chosen, rejected = anywhere.weights(objective, lengths)
    reads = not depends_not_on(anywhere.moved(u=1.0, v=2.0))
    return Limits(
        start=(float(here[0]), float(here[1])),
        rejected_gone=ends(lambda t: Places.at(torch.zeros_like(t), -t)),
        chosen_certain=ends(Places.certain, CERTAIN),
        far_right=ends(lambda t: Places.at(t, -t)),
        far_wrong=ends(lambda t: Places.at(-t, t)),
        turns=tuple(_turns(objective, lengths, reads)),
        balanced=alike(chosen, -rejected),
        reads_reference=reads,
        only_margin=depends_not_on(anywhere.moved(c=-1.0, r=-1.0, u=1.0, v=1.0)),
        lowers_chosen=down,
        raises_rejected=up,
    )


def _plane() -> Places:
    """Return the plane that is searched."""
    side = torch.arange(-EDGE, EDGE + _SPACING, _SPACING, dtype=torch.float64)
    u, v = torch.meshgrid(side, side, indexing="ij")
    return Places.at(u.flatten(), v.flatten())


def _anywhere() -> Places:
    """Return states all over the plane, none of them on the edge of a hinge."""
    u, v = 2 * EDGE * torch.rand(2, 1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - EDGE
    return Places.at(u, v)


def _nearest(plane: Places, there: Tensor) -> tuple[float, float] | None:
    if not bool(there.any()):
        return None
    u, v = plane.chosen_log_ratio, plane.rejected_log_ratio
    place = int(torch.where(there, u.abs() + v.abs(), torch.inf).argmin())
    return float(u[place]), float(v[place])


def _turns(objective: Objective, lengths: tuple[float, float], reads_reference: bool) -> Iterator[Turn]:
    half = torch.logspace(-3, math.log10(FAR), 701, dtype=torch.float64)
    grid = torch.cat([-half.flip(0), half])
    for index, term in enumerate(TERMS):

        def push(margin: Tensor, index: int = index) -> Tensor:
            return torch.nan_to_num(Places.at(margin / 2, -margin / 2).weights(objective, lengths)[index])

        sign = push(grid).sign()
        alone = (sign[1:-1] == 0) & (sign[:-2] != 0) & (sign[2:] != 0)  # a turn that the grid hits
        sign[1:-1] = torch.where(alone, sign[:-2], sign[1:-1])
        for place in torch.nonzero(sign[1:] != sign[:-1]).flatten().tolist():
            margin = _bracket(push, float(grid[place]), float(grid[place + 1]))
            beside = margin + abs(margin) * torch.tensor([-_BESIDE, _BESIDE], dtype=torch.float64)
            before, after = push(beside).tolist()
            if max(abs(before), abs(after)) < 1e-200:
                continue  # not an end, but the end of what float64 can hold
            at = Places.at(*(torch.tensor([way * margin / 2], dtype=torch.float64) for way in (1, -1)))
            seen = margin if reads_reference else float(at.chosen - at.rejected)
            yield Turn(term, seen, "turns" if before * after < 0 else "starts" if before == 0 else "stops")


def _bracket(push: Callable[[Tensor], Tensor], inside: float, outside: float) -> float:
    """Return where the sign of a push first changes, by narrowing the bracket 64 times in each of 9 rounds."""
    for _ in range(9):
        grid = torch.linspace(inside, outside, 65, dtype=torch.float64)
        sign = push(grid).sign()
        first = int(torch.nonzero(sign != sign[0]).min())
        inside, outside = float(grid[first - 1]), float(grid[first])
    return outside
