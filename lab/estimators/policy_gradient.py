"""Ascent of E r - beta KL(pi || pi_ref) by what the policy draws: one class, every setting in the open."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from lab.estimators.advantages import BASELINES, advantages
from lab.estimators.surrogates import clipped_weight, k3, k3_weight
from lab.objectives.base import check_hyper, per_run
from lab.optima import reward_and_kl

KL_TERMS = ("reward", "exact", "k3", "k3_corrected")
ROLLOUTS = ("all", "data")


@dataclass(frozen=True)
class Batch:
    """What was drawn, and what is remembered of the policy that drew. All [run, prompt, response].

    Args:
        share: share of each response among its prompt's draws; the policy's probabilities for infinitely many.
        log_prob: log pi_old, nats.
        advantage: A.
    """

    share: Tensor
    log_prob: Tensor
    advantage: Tensor


@dataclass(frozen=True)
class PolicyGradient:
    """Descend, from responses drawn by the policy itself, the loss -(E r - beta KL(pi || pi_ref)).

    Every `epochs` updates the policy draws `samples` responses for each prompt and each is given an advantage A. With
    share c(y) of a response among them and w = pi / pi_old,

        dL / d log pi(y) = c(y) [-w A, or 0 beyond the clip] + the KL term,

    where KL lies in the reward, r - beta (log pi_old - log pi_ref), as "reward", or in the loss:

        exact         beta pi(y) (log pi(y) / pi_ref(y) + 1), no estimate at all
        k3            beta c(y) (1 - pi_ref(y) / pi(y)), the gradient of the k3 estimate
        k3_corrected  beta c(y) w (k3 + 1 - pi_ref(y) / pi(y)), the gradient of w k3

    Args:
        beta: weight of KL, >= 0; a number or one a run, [run].
        samples: responses drawn for each prompt; 0 stands for infinitely many, the exact expectation.
        epochs: updates on each batch.
        clip: how far w may leave 1, > 0, inf for no bound; a number or one a run, [run].
        baseline: what is subtracted from the reward, one of `lab.estimators.BASELINES`.
        whiten: whether advantages are then scaled over the batch.
        kl: where KL enters, one of KL_TERMS.
        reward: what is climbed, [run, prompt, response]; None is the problem's true reward.
        rollouts: prompts that responses are drawn for: "all", which needs no labels, or "data", those with pairs.

    Raises:
        ValueError: if a setting is out of range or unknown.
    """

    beta: float | Tensor
    samples: int = 0
    epochs: int = 1
    clip: float | Tensor = inf
    baseline: str = "value"
    whiten: bool = False
    kl: str = "reward"
    reward: Tensor | None = None
    rollouts: str = "all"

    def __post_init__(self) -> None:
        check_hyper("beta", self.beta, positive=False)
        for name, least in (("samples", 0), ("epochs", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed are {least} or more")
        if not bool((torch.as_tensor(self.clip) > 0).all()):
            raise ValueError(f"clip is {self.clip}; allowed are numbers > 0, and infinity for no clip")
        for name, allowed in (("baseline", tuple(BASELINES)), ("kl", KL_TERMS), ("rollouts", ROLLOUTS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; allowed are {', '.join(allowed)}")
        if self.samples == 1 and self.baseline in ("leave_one_out", "group"):
            raise ValueError(f"samples is 1 and the baseline {self.baseline} compares draws; give samples=2 or more")
        if self.reward is not None and not bool(torch.isfinite(self.reward).all()):
            raise ValueError("reward holds NaN or infinity; all must be finite: correct it")

    @property
    def betas(self) -> tuple[float | Tensor, float | Tensor]:
        """Return beta twice: at the optimum beta log pi / pi_ref is the reward, up to a constant a prompt."""
        return self.beta, self.beta

    def batch(self, log_prob: Tensor, reference: Tensor, reward: Tensor, share: Tensor | None) -> Batch:
        """Judge what a policy drew.

        Args:
            log_prob: log pi_old, [run, prompt, response], nats.
            reference: log pi_ref, likewise.
            reward: r, likewise.
            share: share of each response among the draws; None for infinitely many.
        """
        share = log_prob.exp() if share is None else share
        score = reward - per_run(self.beta, reward) * (log_prob - reference) if self.kl == "reward" else reward
        value = (log_prob.exp() * score).sum(-1) if self.baseline == "value" else None
        found = advantages(score, share, self.samples, baseline=self.baseline, value=value, whiten=self.whiten)
        return Batch(share, log_prob, found)

    def weights(self, log_prob: Tensor, reference: Tensor, batch: Batch) -> Tensor:
        """Return dL / d log pi, [run, prompt, response], the mean over the prompts included."""
        clip = per_run(self.clip, log_prob)
        log_ratio = log_prob - batch.log_prob
        total = batch.share * clipped_weight(log_ratio, batch.advantage, clip, clip)
        beta = per_run(self.beta, log_prob)
        if self.kl == "exact":
            total = total + beta * log_prob.exp() * (log_prob - reference + 1)
        elif self.kl == "k3":
            total = total + beta * batch.share * k3_weight(log_prob, reference)
        elif self.kl == "k3_corrected":
            slope = k3(log_prob, reference) + k3_weight(log_prob, reference)
            total = total + beta * batch.share * log_ratio.exp() * slope
        return total / log_prob.shape[1]

    def loss(self, log_prob: Tensor, reference: Tensor, reward: Tensor) -> Tensor:
        """Return -(E r - beta KL), exactly, whatever the estimate is, [run, ..., prompt]."""
        earned, kl = reward_and_kl(log_prob, reference, reward)
        return per_run(self.beta, kl) * kl - earned

    def slope(self, log_prob: Tensor, reference: Tensor, reward: Tensor) -> Tensor:
        """Return d loss / d logits = -pi (r - beta log pi / pi_ref - its mean), [run, ..., prompt, response]."""
        score = reward - per_run(self.beta, log_prob) * (log_prob - reference)
        prob = log_prob.exp()
        return -prob * (score - (prob * score).sum(-1, keepdim=True))
