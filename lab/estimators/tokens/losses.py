"""A loss of tokens: terms, and the average that makes one number of them. The methods in use are a table of those."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from lab.estimators.tokens.batch import TokenBatch
from lab.estimators.tokens.ratios import SAPO, Clipped, Geometric
from lab.estimators.tokens.terms import CISPO, VESPO, Term


@dataclass(frozen=True)
class TokenLoss:
    """Average the losses of the tokens of a batch: L = sum_i,t c_it l_it, of B responses with n_i tokens.

        response  c = 1 / (B n_i)   mean over responses of the mean over tokens
        sum       c = 1 / B         mean over responses of the sum over tokens
        token     c = 1 / N         N the batch's total where it has one, else its tokens, sum_i n_i
        budget    c = 1 / (B T)     T tokens that a response may have; the same c for all, whatever their lengths

    Args:
        terms: what is added up at each token, one or more.
        average: one of AVERAGES.
        budget: T, > 0; needed by the average "budget" only.

    Raises:
        ValueError: if there is no term, an unknown average, or a budget where none is needed or none where one is.

    Source: response: Shao et al. 2024 (arXiv 2402.03300); token: DAPO (arXiv 2503.14476); budget: Dr. GRPO (arXiv
    2503.20783); sum: LUSPO (arXiv 2602.05261).
    """

    terms: tuple[Term, ...]
    average: str = "token"
    budget: float | None = None

    def __post_init__(self) -> None:
        if not self.terms:
            raise ValueError("terms is empty; give at least one term, such as Clipped()")
        if self.average not in AVERAGES:
            raise ValueError(f"average is {self.average!r}; allowed are {', '.join(AVERAGES)}")
        if (self.average == "budget") != (self.budget is not None):
            raise ValueError(
                f"budget is {self.budget} with average={self.average!r}; give one with the average 'budget', and no "
                "other: the tokens that a response may have"
            )
        if self.budget is not None and not 0 < self.budget < float("inf"):
            raise ValueError(f"budget is {self.budget}; allowed are finite numbers > 0")

    def shares(self, batch: TokenBatch) -> Tensor:
        """Return c, the weight of every token's loss, 0 where there is none, [run, response, token]."""
        present = batch.present
        return present / AVERAGES[self.average](self, batch)

    def loss(self, batch: TokenBatch) -> Tensor:
        """Return L, [run]; automatic differentiation of it gives `slope`."""
        total = sum((term.loss(batch) for term in self.terms[1:]), start=self.terms[0].loss(batch))
        return (self.shares(batch) * total).sum((-2, -1))

    def slope(self, batch: TokenBatch) -> Tensor:
        """Return dL / d log pi of every token in closed form, [run, response, token]."""
        shares = self.shares(batch)
        return sum((term.pull(batch, shares) for term in self.terms[1:]), start=self.terms[0].pull(batch, shares))


def _response(loss: TokenLoss, batch: TokenBatch) -> float | Tensor:
    return batch.length * batch.log_prob.shape[1]


def _sum(loss: TokenLoss, batch: TokenBatch) -> float | Tensor:
    return float(batch.log_prob.shape[1])


def _token(loss: TokenLoss, batch: TokenBatch) -> float | Tensor:
    return batch.present.sum((-2, -1), keepdim=True).clamp(min=1) if batch.total is None else batch.total


def _budget(loss: TokenLoss, batch: TokenBatch) -> float | Tensor:
    assert loss.budget is not None
    return batch.log_prob.shape[1] * loss.budget


AVERAGES: dict[str, Callable[[TokenLoss, TokenBatch], float | Tensor]] = {
    "response": _response,
    "sum": _sum,
    "token": _token,
    "budget": _budget,
}

# Each without KL; `TokenLoss((*terms, K3(beta)), average)` has it.
METHODS: dict[str, TokenLoss] = {
    "grpo": TokenLoss((Clipped(),), "response"),
    "bnpo": TokenLoss((Clipped(),), "token"),
    "dr_grpo": TokenLoss((Clipped(),), "budget", 512),
    "dapo": TokenLoss((Clipped(0.2, 0.28),), "token"),
    "luspo": TokenLoss((Clipped(level="mean"),), "sum"),
    "gspo": TokenLoss((Clipped(level="mean"),), "response"),
    "gmpo": TokenLoss((Geometric(),), "response"),
    "cispo": TokenLoss((CISPO(),), "token"),
    "sapo": TokenLoss((SAPO(),), "response"),
    "vespo": TokenLoss((VESPO(),), "token"),
    "rloo": TokenLoss((Clipped(level="sum"),), "response"),
}
