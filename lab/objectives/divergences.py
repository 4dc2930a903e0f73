"""Other divergences than the reverse KL: a transformation of both log-ratios in front of a loss of log-ratios."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log

import torch
from torch import Tensor

from lab.objectives.averaged import AveragedDPO, AveragedIPO
from lab.objectives.base import Objective, PairLogProbs, as_tensor, check_hyper, logsigmoid
from lab.objectives.margins import CDPO, EXO, DiscoPOP, RobustDPO
from lab.objectives.pairwise import DPO, IPO, SLiC

TAKEN = (DPO, IPO, SLiC, CDPO, RobustDPO, EXO, DiscoPOP, AveragedDPO, AveragedIPO)
KINDS = ("reverse_kl", "forward_kl", "jensen_shannon", "alpha")
# Largest exponent of a probability ratio, beyond which phi is constant: TRL's in float32; squares stay finite in both.
LARGEST = {torch.float32: 80.0, torch.float64: 300.0}


@dataclass(frozen=True)
class Divergence(Objective):
    """A loss of the log-ratios with phi(u), phi(v) in place of u, v: the regulariser is another f-divergence.

        reverse_kl      phi(x) = x
        forward_kl      phi(x) = 1 - exp(-x), which is alpha = 0
        jensen_shannon  phi(x) = log 2 + log s(x)
        alpha           phi(x) = (exp((alpha - 1) x) - 1) / (alpha - 1); x at alpha = 1

    As pi(rejected) -> 0, phi(v) of forward_kl falls like -exp(-v): the margin is soon large and both pushes end;
    alpha > 1 is bounded below there, and the margin stays finite. phi' weighs the pushes: as pi(chosen) -> 1 from a
    small reference it falls to 0 in forward_kl and jensen_shannon, and grows for alpha > 1.

    Args:
        objective: a loss that sees log-ratios only: DPO, IPO, SLiC, CDPO, RobustDPO, EXO, DiscoPOP, AveragedDPO,
            AveragedIPO.
        kind: one of the four words above.
        alpha: for "alpha", a number or one a run, [run]; the paper's alpha is 1 - alpha.

    Source: Wang et al. 2023 (Beyond Reverse KL, arXiv 2309.16240), f' of table 1 with the constants that make
    phi(0) = 0.
    """

    objective: Objective
    kind: str
    alpha: float | Tensor = 0.5

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind is {self.kind!r}; allowed are {', '.join(KINDS)}: choose one of them")
        if type(self.objective) not in TAKEN:
            raise ValueError(
                f"a divergence changes log-ratios, and {type(self.objective).__name__} is no loss of log-ratios alone; "
                f"allowed are {', '.join(each.__name__ for each in TAKEN)}: choose one of them"
            )
        check_hyper("alpha", self.alpha, low=-float("inf"))

    @property
    def betas(self) -> tuple[float | Tensor, float | Tensor]:
        """Return the betas of the objective."""
        return self.objective.betas

    def _turned(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return phi(x) and phi'(x)."""
        match self.kind:
            case "reverse_kl":
                return x, torch.ones_like(x)
            case "jensen_shannon":
                return log(2) + logsigmoid(x), torch.sigmoid(-x)
        k = as_tensor(0.0 if self.kind == "forward_kl" else self.alpha, x) - 1
        line = k.abs() < 1e-6
        k = torch.where(line, torch.ones_like(k), k)
        largest = LARGEST[x.dtype]
        exponent = (k * x).clamp(max=largest)
        phi, slope = torch.expm1(exponent) / k, torch.exp(exponent) * (exponent < largest).to(x.dtype)
        return torch.where(line, x, phi), torch.where(line, torch.ones_like(x), slope)

    def _inside(self, pairs: PairLogProbs) -> tuple[PairLogProbs, Tensor, Tensor]:
        (u, by_u), (v, by_v) = self._turned(pairs.chosen_log_ratio), self._turned(pairs.rejected_log_ratio)
        none = torch.zeros_like(pairs.reference_chosen)
        return replace(pairs, chosen=u, rejected=v, reference_chosen=none, reference_rejected=none), by_u, by_v

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return the loss at phi(u), phi(v), [run, ..., pair]."""
        return self.objective.loss(self._inside(pairs)[0])

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return the weights at phi(u), phi(v) times phi'(u) and phi'(v), each [run, ..., pair]."""
        inside, by_u, by_v = self._inside(pairs)
        chosen, rejected = self.objective.response_weights(inside)
        return chosen * by_u, rejected * by_v
