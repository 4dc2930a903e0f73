"""What a training spends: passes through its networks, and responses that it draws, counted from its line."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lab.experiments.experiment import Experiment
from lab.experiments.vocabulary import GRADIENTS

# What a method draws where its line leaves it out; tests hold it to the methods' own settings.
DRAWN = {"pg": (0, 1), "reinforce": (4, 1), "rloo": (4, 1), "grpo": (8, 1), "ppo": (8, 4)}  # samples, epochs


@dataclass(frozen=True)
class Cost:
    """What some updates of a run take. One pass goes over every response of every prompt.

    Args:
        policy: Forward passes of the policy: one before each update. The policy that drew needs none of its own, for
            its log-probabilities are kept from the update before which it drew; in a table, reading it is the pass.
        reference: Forward passes of the reference: one, whose log-probabilities are kept; none for a reward model.
        reward_model: Forward passes of a reward model: one before each of its updates, and one that scores everything.
        reverse: Reverse passes, one with each update of policy or reward model.
        drawn: Responses drawn from the policy for a prompt; infinite where it takes the exact expectation.
    """

    policy: int
    reference: int
    reward_model: int
    reverse: int
    drawn: float

    @property
    def passes(self) -> int:
        """All passes, forward and reverse."""
        return self.policy + self.reference + self.reward_model + self.reverse


def spent(experiment: str | Experiment, updates: int) -> Cost:
    """Count what the first updates of an experiment spend in each run, the record apart.

    Args:
        experiment: A line without looped axes, or what it was read into.
        updates: Updates of the policy, at least 0 and at most the line's steps.

    Returns:
        The cost of one run.

    Raises:
        ValueError: If the line loops over what it spends, or has fewer updates.

    Source: own definition; tests/test_costs.py counts the calls of a training.
    """
    parsed = experiment if isinstance(experiment, Experiment) else Experiment.parse(experiment)
    if parsed.looped_axes:
        raise ValueError(
            f"the experiment loops over {', '.join(parsed.looped_axes)}; count one of its cells() at a time"
        )
    if not 0 <= updates <= parsed.value("steps"):
        raise ValueError(f"updates is {updates}; allowed are 0 to {parsed.value('steps')}, the steps of the line")
    word = parsed.value("objective")
    if word == "rm":
        return Cost(0, 0, updates + 1, updates, 0)
    model = parsed.value("model_steps") if parsed.value("reward_from") == "model" else 0
    return Cost(updates, 1, model + bool(model), updates + model, _drawn(parsed, word, updates))


def _drawn(experiment: Experiment, word: str, updates: int) -> float:
    """Count the responses of a prompt that the policy draws."""
    if word in GRADIENTS:
        samples, epochs = (
            getattr(experiment, key)[0] if getattr(experiment, key) else own
            for key, own in zip(("samples", "epochs"), DRAWN[word], strict=True)
        )
        return (samples or math.inf) * math.ceil(updates / epochs) if updates else 0
    if experiment.scenario != ("open",) or experiment.value("sampler") != "policy" or not updates:
        return 0
    couples = experiment.value("comparisons") if experiment.value("data") == "sampled" else math.inf
    return 2 * couples * math.ceil(updates / experiment.value("refresh"))
