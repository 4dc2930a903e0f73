"""What a measurement of a property says: its number, interval, verdict and sentence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lab.properties.audit import Audit

PRESENT, ABSENT, INCONCLUSIVE = "present", "absent", "inconclusive"


@dataclass(frozen=True)
class Thresholds:
    """From where on a property counts as present.

    `drop`, in nats: 10 nats are a factor of 22 000, by which π⁻ shrank more than π⁺ grew. The chosen response can rise
    by at most -log π_ref(y⁺), 0.8 nats from .45 and 3.9 from .02: a fall beyond 10 nats buys it nothing more.
    `degradation` and `dispersion`, in probability: 0.01 is a hundredth of all the mass, the least that shows in a plot
    from 0 to 1. A run that converges wobbles by less (the MLP under SGD at lr 0.5: below 0.001).
    """

    drop: float = 10.0
    degradation: float = 0.01
    dispersion: float = 0.01

    def __post_init__(self) -> None:
        """Check that each threshold is a positive number."""
        for name in ("drop", "degradation", "dispersion"):
            value = getattr(self, name)
            if not value > 0 or not np.isfinite(value):
                raise ValueError(f"the threshold of {name} is {value}; it must be a positive number")


@dataclass(frozen=True)
class Finding:
    """One property of one experiment.

    Attributes:
        value: Median over seeds, in nats for the drop and in probability for the other two.
        threshold: What the interval is held against.
        low: Lower end of the bootstrap interval of the median; NaN for one seed.
        high: Upper end.
        n: Number of seeds.
        turning_step: Median step of the turning point; inf where it lies beyond the record.
        turning_low: Lower end of its interval.
        turning_high: Upper end of its interval.
        verdict: "present", "absent" or "inconclusive".
        sentence: All of this in words.
    """

    value: float
    threshold: float
    low: float
    high: float
    n: int
    turning_step: float
    turning_low: float
    turning_high: float
    verdict: str
    sentence: str

    def __str__(self) -> str:
        """Print the sentence."""
        return self.sentence


@dataclass(frozen=True)
class Properties:
    """The audit of step 0 and the three properties of one experiment.

    Attributes:
        audit: Whether the start is what the properties take it to be.
        drop: The rejected response falls by far more than the chosen one rises.
        degradation: The chosen response falls from its peak while the loss still goes down.
        dispersion: The unseen mass ends above its minimum and its start while the loss still goes down.
        chosen_gradient_left: |∂L/∂log π⁺| at the end over its value at step 0, median over seeds.
    """

    audit: Audit
    drop: Finding
    degradation: Finding
    dispersion: Finding
    chosen_gradient_left: float

    def __str__(self) -> str:
        """Print the audit, then one line a property."""
        return "\n".join(str(part) for part in (self.audit, self.drop, self.degradation, self.dispersion))
