"""Where the scoreboard looks: policies, optimisers, scenarios, and the horizons at which objectives are compared."""

from __future__ import annotations

from dataclasses import dataclass

from lab.experiments.experiment import Experiment
from lab.experiments.vocabulary import WORDS
from lab.properties import Horizon
from lab.scoreboard.entries import Entry

BETA = 0.1
YARDSTICK = 0.05  # DPO's push at the start: the learning rates of plain gradient descent are stated for it
SCENARIOS = ("s1", "s2", "s3", "s4")
SEEDS = 24


@dataclass(frozen=True)
class Setting:
    """A policy and an optimiser.

    Args:
        policy: tabular, loglinear or mlp.
        optimizer: sgd or adam.
        lr: Learning rate; under plain gradient descent that of DPO, from which those of the others follow.
        steps: Number of updates.
        every: Stride between recorded steps.
    """

    policy: str
    optimizer: str
    lr: float
    steps: int
    every: int

    @property
    def name(self) -> str:
        """Its id, such as "mlp adam"."""
        return f"{self.policy} {self.optimizer}"

    @property
    def horizons(self) -> tuple[Horizon, ...]:
        """Equal steps, the end of the training, then the equal margins and the equal divergence."""
        return (Horizon("step", float(self.steps)), *PROGRESS)

    def rate(self, entry: Entry) -> float:
        """Return the learning rate of an objective: Adam's own, or the one that makes the first step as large as DPO's.

        lr · push is the same for all, to two digits, but for an objective that would run to infinity.
        """
        if self.optimizer == "adam":
            return self.lr
        slower = entry.slower if self.policy == "mlp" else 1.0
        return float(f"{self.lr * YARDSTICK / entry.push / slower:.2g}")

    def line(self, entry: Entry) -> str:
        """Write the experiment line of an objective here."""
        word = entry.words.split()[0]
        beta = f" beta={BETA}" if word in WORDS["beta"].owned_by else ""
        given = (
            f"{self.policy} {','.join(SCENARIOS)} {entry.words}{beta} {self.optimizer} lr={self.rate(entry):g} "
            f"steps={self.steps} seeds={SEEDS} every={self.every} keep=none truth=normal"
        )
        return str(Experiment.parse(given))


PROGRESS = (
    Horizon("log_ratio_margin", 4.0),
    Horizon("log_ratio_margin", 30.0),
    Horizon("kl_from_reference", 0.5),
)
SETTINGS: tuple[Setting, ...] = (
    Setting("mlp", "adam", lr=1e-3, steps=500, every=10),
    Setting("mlp", "sgd", lr=0.5, steps=1000, every=4),
    Setting("loglinear", "adam", lr=0.05, steps=1000, every=10),
    Setting("loglinear", "sgd", lr=10.0, steps=1000, every=5),
    Setting("tabular", "adam", lr=0.05, steps=1000, every=10),
    Setting("tabular", "sgd", lr=10.0, steps=1000, every=5),
)
