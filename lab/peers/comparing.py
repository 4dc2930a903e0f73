"""The comparison: every output of every case against the lab's, and what the lab does not have."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from lab.peers.computing import Found, compute
from lab.peers.reading import Group, OutOfScope, read

ATOL = 1e-12
INPUTS = {
    "hyper", "chosen", "rejected", "ref_chosen", "ref_rejected", "log_sum_sq_probs_chosen", "log_sum_sq_probs_rejected",
    "prompt", "gold", "policy", "ref", "label", "kl_policy", "kl_ref", "reward_chosen", "reward_rejected", "margin",
    "rewards", "has_eos", "old", "advantages", "num_items_in_batch", "v_star",
}  # fmt: skip


@dataclass(frozen=True)
class Agreement:
    """How far the lab is from one objective of the file.

    Args:
        objective: its name in the file.
        cases: how many were compared.
        values: how many numbers.
        worst_absolute: largest |a - b|, a the lab's and b the file's.
        worst_relative: largest |a - b| / |b| among those beyond the absolute tolerance.
        worst_share: largest |a - b| / (1e-12 + rtol |b|); agreement means at most 1.
        worst_output: the output it stands in.
        worst_case: the index of its case within the group.
    """

    objective: str
    cases: int
    values: int
    worst_absolute: float
    worst_relative: float
    worst_share: float
    worst_output: str
    worst_case: int

    @property
    def agrees(self) -> bool:
        """Whether every number is within its tolerance."""
        return self.worst_share <= 1


@dataclass(frozen=True)
class Absent:
    """Cases of the file that the lab does not have.

    Args:
        objective: its name in the file.
        cases: how many.
        reason: why.
    """

    objective: str
    cases: int
    reason: str


@dataclass(frozen=True)
class Parity:
    """The table of worst deviations, and the list of what is not compared.

    Args:
        file: the file.
        made: what made it.
        agreements: one row an objective that both have.
        absent: what only the file has.
    """

    file: str
    made: str
    agreements: tuple[Agreement, ...]
    absent: tuple[Absent, ...]

    @property
    def agrees(self) -> bool:
        """Whether something was compared and all of it agrees."""
        return bool(self.agreements) and all(row.agrees for row in self.agreements)

    def __str__(self) -> str:
        """Write both as plain text."""
        names = [*(row.objective for row in self.agreements), *(gone.objective for gone in self.absent)]
        width = max(map(len, names), default=0)
        lines = [
            f"{row.objective:<{width}}  {'agrees' if row.agrees else 'DEVIATES'}  {row.cases} cases  "
            f"worst |a - b| {row.worst_absolute:.2g}, share of the tolerance {row.worst_share:.2g}"
            for row in self.agreements
        ]
        lines += [f"{gone.objective:<{width}}  not compared  {gone.cases} cases  {gone.reason}" for gone in self.absent]
        return "\n".join([f"{self.file} (made by {self.made})", *lines])


def parity(path: str | Path) -> Parity:
    """Compare the lab's objectives with the losses and gradients stored in a parity file.

    A number a of the lab agrees with b of the file if |a - b| <= 1e-12 + rtol |b|, where rtol is 1e-9 unless the group
    gives its own. Every output of every case is compared: losses, parts, gradients.

    Args:
        path: a JSON file of the form `preference-parity/1`.

    Returns:
        The worst deviation of every objective that both have, and the list of those that only the file has.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not of that form.

    Source: the form and its tolerance are those of `tests/data/given.json`, made with TRL 1.16.0.
    """
    made, groups = read(path)
    agreements, absent = [], []
    for group in groups:
        row, missing = _compare(group)
        agreements += [row] if row else []
        absent += missing
    return Parity(str(path), made, tuple(agreements), tuple(absent))


def _compare(group: Group) -> tuple[Agreement | None, list[Absent]]:
    missing: Counter[str] = Counter()
    deviations = []
    compared = 0
    for index, case in enumerate(group.cases):
        try:
            found = compute(group, case)
            deviations += [(share, absolute, relative, output, index)
                           for output, share, absolute, relative in _deviations(case, found, group.rtol)]  # fmt: skip
        except OutOfScope as reason:
            missing[str(reason)] += 1
            continue
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"{group.objective}, case {index} cannot be read ({error}); its rows must be lists of numbers, as many "
                "in each input: correct the file"
            ) from error
        compared += 1
    absent = [Absent(group.objective, count, reason) for reason, count in missing.items()]
    if not compared:
        return None, absent
    share, _, _, output, case_index = max(deviations)
    row = Agreement(
        group.objective, compared, len(deviations), max(each[1] for each in deviations),
        max(each[2] for each in deviations), share, output, case_index,
    )  # fmt: skip
    return row, absent


def _deviations(case: Mapping[str, Any], found: Found, rtol: float) -> list[tuple[str, float, float, float]]:
    # What is an input of one kind of case may be the output of another: advantages.
    outputs = [name for name in case if name not in INPUTS or name in found]
    if not outputs:
        raise OutOfScope("a case has no outputs")
    unknown = [name for name in outputs if name not in found]
    if unknown:
        raise OutOfScope(f"the lab does not compute {', '.join(unknown)}")
    rows = []
    for name in outputs:
        theirs, ours = _flat(case[name]), _flat(found[name])
        if len(theirs) != len(ours):
            raise ValueError(f"{name} has {len(theirs)} numbers for {len(ours)}")
        rows += [(name, *_deviation(a, b, rtol)) for a, b in zip(ours, theirs, strict=True)]
    return rows


def _deviation(a: float, b: float, rtol: float) -> tuple[float, float, float]:
    """Return |a - b| as a share of the tolerance, by itself, and relative to |b| where beyond the absolute one."""
    if a == b or (math.isnan(a) and math.isnan(b)):
        return 0.0, 0.0, 0.0
    apart = abs(a - b)
    if not math.isfinite(apart):
        return math.inf, math.inf, math.inf
    return apart / (ATOL + rtol * abs(b)), apart, apart / abs(b) if apart > ATOL and b else 0.0


def _flat(values: Any) -> list[float]:
    if isinstance(values, Tensor):
        return [float(value) for value in values.flatten().tolist()]
    if isinstance(values, list):
        return [number for value in values for number in _flat(value)]
    if isinstance(values, bool | int | float):
        return [float(values)]
    raise TypeError(f"{values!r:.40} is not a number")
