"""Exercise 3.3: The ratio law."""

from __future__ import annotations

import numpy as np

from lab.course.chapters.dpo.goals import GRADIENT
from lab.course.exercise import Exercise, Wrong


def log_gradient_ratio(log_chosen, log_rejected, reference_log_chosen, reference_log_rejected, beta):
    """Return log |∂ℓ/∂π⁻| − log |∂ℓ/∂π⁺| of the DPO loss ℓ in many states of a pair.

    π⁺ and π⁻ are the probabilities of the chosen and of the rejected response, and count as two
    free variables here, as in the 3D-Properties paper. log π⁻ goes down to −2000: form no
    probability.

    Args:
        log_chosen: log π⁺, [state], nats.
        log_rejected: log π⁻, [state], nats.
        reference_log_chosen: log π⁺ under the reference, [state], nats.
        reference_log_rejected: log π⁻ under the reference, [state], nats.
        beta: β, above 0.

    Returns:
        [state], natural log.
    """
    return log_chosen - log_rejected


def _ratio_upside_down(log_chosen, log_rejected, reference_log_chosen, reference_log_rejected, beta):
    return log_rejected - log_chosen


def _ratio_over_the_reference(log_chosen, log_rejected, reference_log_chosen, reference_log_rejected, beta):
    return (log_chosen - reference_log_chosen) - (log_rejected - reference_log_rejected)


def _ratio_times_beta(log_chosen, log_rejected, reference_log_chosen, reference_log_rejected, beta):
    return beta * (log_chosen - log_rejected)


def _ratio_of_log_probabilities(log_chosen, log_rejected, reference_log_chosen, reference_log_rejected, beta):
    return np.zeros(len(log_chosen))


def _ratio_that_overflows(log_chosen, log_rejected, reference_log_chosen, reference_log_rejected, beta):
    return np.log(np.exp(log_chosen) / np.exp(log_rejected))


def _ratio_of_margins(log_chosen, log_rejected, reference_log_chosen, reference_log_rejected, beta):
    return beta * ((log_chosen - reference_log_chosen) - (log_rejected - reference_log_rejected))


def _ratio_itself(log_chosen, log_rejected, reference_log_chosen, reference_log_rejected, beta):
    return np.exp(log_chosen - log_rejected)


def _ratio_in_powers_of_ten(log_chosen, log_rejected, reference_log_chosen, reference_log_rejected, beta):
    return (log_chosen - log_rejected) / np.log(10)


def _ratio_cases(generator: np.random.Generator) -> list[tuple]:
    def drawn(depth: float, beta: float) -> tuple:
        chosen, *reference = (-generator.exponential(size=50) - 1e-3 for _ in range(3))
        return chosen, -depth * generator.uniform(0.1, 1, 50), *reference, beta

    return [drawn(3.0, 0.1), drawn(80.0, 0.3), drawn(2000.0, 0.5)]


EXERCISE = Exercise(
    id="3.3", title="The ratio law", minutes=10, difficulty=2, points=2, goal=GRADIENT,
    solution=log_gradient_ratio, cases=_ratio_cases,
    wrong=(
        Wrong(_ratio_upside_down, "Yours is the ratio upside down. Which of the two gradients has the small "
              "probability under its fraction line?"),
        Wrong(_ratio_over_the_reference, "You give the log-ratio margin. The reference enters the weight σ(−m), and "
              "both gradients have that."),
        Wrong(_ratio_times_beta, "You have a β too many. Both gradients carry the same factor."),
        Wrong(_ratio_of_margins, "You give the margin m. It enters through σ(−m) alone, and both gradients have "
              "that."),
        Wrong(_ratio_itself, "This is the ratio. Asked for is its logarithm, which stays finite where the ratio does "
              "not."),
        Wrong(_ratio_in_powers_of_ten, "Your logarithm is that of base 10. Asked for is the natural one."),
        Wrong(_ratio_of_log_probabilities, "Equal pushes: that is right for ∂ℓ/∂ log π. Here the derivative is by π "
              "itself."),
        Wrong(_ratio_that_overflows, "The formula is right and ends in infinity: exp(−2000) is 0 for a computer. "
              "Take the log before you compute, not after."),
    ),
    hints=(
        "Write ∂ℓ/∂π⁺ and ∂ℓ/∂π⁻ down, each with all its factors, and look for what they share.",
        "∂ℓ/∂π = (∂ℓ/∂ log π) / π.",
        "∂ℓ/∂π⁺ = −βσ(−m)/π⁺ and ∂ℓ/∂π⁻ = βσ(−m)/π⁻.",
    ),
)  # fmt: skip
