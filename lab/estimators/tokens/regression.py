"""A*-PO: no policy gradient but a regression of the implicit reward on the optimal advantage."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

from torch import Tensor

from lab.objectives.base import check_hyper, per_run


@dataclass(frozen=True)
class AStarPO:
    """(beta (log pi - log pi_ref) - (r - V*))^2 of every drawn response.

    It is 0 at the optimum of E r - beta KL, where beta log pi* / pi_ref = r - V* with V* = beta log Z.

    Args:
        beta: weight of KL, > 0; a number or one a run.

    Source: Accelerating RL for LLM Reasoning with Optimal Advantage Regression (arXiv 2505.20686); its two betas, of
    the value and of the regression, may differ: the first is `optimal_value`'s.
    """

    beta: float | Tensor = 1e-3

    def __post_init__(self) -> None:
        check_hyper("beta", self.beta)

    def loss(self, log_prob: Tensor, reference_log_prob: Tensor, reward: Tensor, value: Tensor) -> Tensor:
        """Return the loss of every response, unreduced.

        Args:
            log_prob: log pi of whole responses, [run, ..., response], nats.
            reference_log_prob: log pi_ref, likewise.
            reward: r, likewise.
            value: V* of each response's prompt, broadcasts to it.
        """
        return self._residual(log_prob, reference_log_prob, reward, value) ** 2

    def weights(self, log_prob: Tensor, reference_log_prob: Tensor, reward: Tensor, value: Tensor) -> Tensor:
        """Return d loss / d log pi = 2 beta (beta (log pi - log pi_ref) - (r - V*)) of every response."""
        return 2 * per_run(self.beta, log_prob) * self._residual(log_prob, reference_log_prob, reward, value)

    def _residual(self, log_prob: Tensor, reference_log_prob: Tensor, reward: Tensor, value: Tensor) -> Tensor:
        return per_run(self.beta, log_prob) * (log_prob - reference_log_prob) - (reward - value)


def optimal_value(reward: Tensor, beta: float | Tensor) -> Tensor:
    """Estimate V* = beta log E_ref exp(r / beta) from draws of the reference: beta log mean_i exp(r_i / beta).

    Args:
        reward: r of responses drawn from the reference, [run, ..., draw].
        beta: > 0; a number or one a run.

    Returns:
        V*, [run, ...]; it falls short on average, as the logarithm of a mean does.

    Raises:
        ValueError: if beta is not above 0.

    Source: arXiv 2505.20686; exact counterpart: `lab.optima.optimum(...).value`.
    """
    check_hyper("beta", beta)
    scale = per_run(beta, reward)
    value = (reward / scale).logsumexp(-1, keepdim=True) - log(reward.shape[-1])
    return (scale * value)[..., 0]
