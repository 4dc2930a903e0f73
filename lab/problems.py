"""Problems: the preference pairs and the reference distribution that a run starts from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.comparisons import Online
from lab.preferences import Preferences
from lab.randomness import WORLD, per_seed

# scenario: (is the chosen response on-policy, is the rejected response on-policy)
SCENARIOS = {"s1": (True, True), "s2": (False, True), "s3": (True, False), "s4": (False, False)}


@dataclass(frozen=True)
class Problem:
    """Pairs and target distributions of a batch of runs.

    Args:
        preferences: the pairs, shared by all runs.
        target_log_prob: log-probabilities in nats that the reference policy is to have, [run, prompt, response].
        seeds: the seed of each run, [run]; every draw of a run depends on its seed alone.
        lengths: tokens of each response, [prompt, response], for objectives that average over them; None means 1.
        reward: the true reward r(x, y), [run, prompt, response]; None where there is none. It only judges a policy.
        online: comparisons of what the policy itself draws; the pairs are then all couples in the order of
            `lab.comparisons`, and their weights are only those that the record speaks of. None trains on the pairs.

    Raises:
        ValueError: if a distribution does not sum to 1 to 1e-9, is not finite, a pair is out of range or names a
            response without probability, the number of seeds differs from the number of runs, a length is not above 0,
            or rewards are not finite or of another shape than the distributions.
    """

    preferences: Preferences
    target_log_prob: Tensor
    seeds: tuple[int, ...]
    lengths: Tensor | None = None
    reward: Tensor | None = None
    online: Online | None = None

    def __post_init__(self) -> None:
        target = self.target_log_prob
        if target.ndim != 3:
            raise ValueError(f"target_log_prob has shape {tuple(target.shape)}; allowed is [run, prompt, response]")
        if len(target) == 0:
            raise ValueError("target_log_prob has 0 runs; allowed are 1 or more: give at least one seed")
        if len(self.seeds) != len(target):
            raise ValueError(f"{len(self.seeds)} seeds for {len(target)} runs; give one seed a run")
        self.preferences.check_within(self.prompts, self.responses)
        self._check_support()
        if not bool(torch.isfinite(target).all()):
            raise ValueError("target_log_prob holds NaN or infinity; log-probabilities must be finite: use a small "
                             "probability instead of 0")  # fmt: skip
        worst = float((torch.logsumexp(target, -1)).abs().max())
        if worst > 1e-9:
            raise ValueError(f"target probabilities sum to exp({worst:.3g}), not 1; normalise with log_softmax")
        if self.preferences.weight.ndim == 2 and len(self.preferences.weight) != self.runs:
            raise ValueError(
                f"pair weights are those of {len(self.preferences.weight)} runs and there are {self.runs}; give one "
                "row a run, or one for all"
            )
        self._check_lengths()
        self._check_reward()

    def _check_support(self) -> None:
        """Raise ValueError if a labelled response has no probability: no log-ratio then speaks of it."""
        pairs = self.preferences
        none = self.target_log_prob.isneginf().any(0).cpu()
        for name, responses in (("chosen", pairs.chosen), ("rejected", pairs.rejected)):
            bare = none[pairs.prompt, responses]
            if bool(bare.any()):
                pair = int(bare.int().argmax())
                raise ValueError(
                    f"pair {pair} has {name}={int(responses[pair])} of prompt {int(pairs.prompt[pair])}, which the "
                    "reference gives no probability; a labelled response needs some: give it a small one, or drop the "
                    "pair"
                )

    def _check_lengths(self) -> None:
        if self.lengths is None:
            return
        if self.lengths.shape != self.target_log_prob.shape[1:]:
            raise ValueError(f"lengths has shape {tuple(self.lengths.shape)}; allowed is [prompt, response], here "
                             f"({self.prompts}, {self.responses})")  # fmt: skip
        bad = ~torch.isfinite(self.lengths) | (self.lengths <= 0)
        if bool(bad.any()):
            raise ValueError(f"a response has length {float(self.lengths[bad][0]):g}; allowed are finite numbers above "
                             "0: count its tokens, the end of the sequence included")  # fmt: skip

    def _check_reward(self) -> None:
        if self.reward is None:
            return
        if self.reward.shape != self.target_log_prob.shape:
            raise ValueError(f"reward has shape {tuple(self.reward.shape)}; allowed is [run, prompt, response], here "
                             f"{tuple(self.target_log_prob.shape)}")  # fmt: skip
        if not bool(torch.isfinite(self.reward).all()):
            raise ValueError("reward holds NaN or infinity; all must be finite: correct it")

    @property
    def runs(self) -> int:
        """Number of runs."""
        return self.target_log_prob.shape[0]

    @property
    def prompts(self) -> int:
        """Number of prompts."""
        return self.target_log_prob.shape[1]

    @property
    def responses(self) -> int:
        """Number of responses of every prompt."""
        return self.target_log_prob.shape[2]


def scenario_problem(
    preferences: Preferences,
    prompts: int,
    responses: int,
    *,
    scenario: Sequence[str],
    on: Sequence[float],
    off: Sequence[float],
    seeds: Sequence[int],
    spread: str = "drawn",
) -> Problem:
    """Build the paper's 2 x 2 of data sources: chosen and rejected each on-policy or off-policy.

    In a prompt with pairs the chosen responses share the mass `on` (on-policy) or `off` (off-policy), likewise the
    rejected ones; the rest goes to the unseen responses, evenly ("even") or by a flat Dirichlet draw of the run's seed
    ("drawn"). A prompt without pairs spreads all of its mass the same way.

    Args:
        preferences: the pairs.
        prompts: number of prompts.
        responses: number of responses of every prompt.
        scenario: "s1".."s4" for each run, [run].
        on: start probability of an on-policy response, [run].
        off: start probability of an off-policy response, [run].
        seeds: seed of each run, [run].
        spread: "even" or "drawn".

    Returns:
        The problem of all runs, float64 on the CPU.

    Raises:
        ValueError: for an unknown scenario or spread, probabilities outside (0, 1), a sum that leaves no mass for the
            unseen responses, or lists of unequal lengths.

    Source: Yan et al. 2024 (arXiv 2406.07327), section on the toy model; the 2 x 2 in this form is our own.
    """
    if len({len(scenario), len(on), len(off), len(seeds)}) > 1:
        raise ValueError(f"per-run lists have lengths scenario={len(scenario)}, on={len(on)}, off={len(off)}, "
                         f"seeds={len(seeds)}; each needs one value a run: make them equally long")  # fmt: skip
    if spread not in ("even", "drawn"):
        raise ValueError(f"spread is {spread!r}; allowed are 'even' and 'drawn'")
    preferences.check_within(prompts, responses)
    unseen = preferences.unseen(prompts, responses)
    share = _shares(preferences, prompts, responses)
    mass = torch.stack(
        [_masses(name, p, q, bool(unseen.any(-1).all())) for name, p, q in zip(scenario, on, off, strict=True)]
    )
    if spread == "even":
        rest = unseen.to(torch.float64).expand(len(seeds), -1, -1)
    else:
        rest = per_seed(tuple(seeds), WORLD, lambda g: _exponential(g, prompts, responses)) * unseen
    rest = rest / rest.sum(-1, keepdim=True).clamp_min(1e-300)
    seen = torch.einsum("rk,kxy->rxy", mass, share)
    probability = seen + (1 - seen.sum(-1, keepdim=True)) * rest
    log_prob = probability.log()
    return Problem(preferences, log_prob - torch.logsumexp(log_prob, -1, keepdim=True), tuple(int(s) for s in seeds))


def _masses(scenario: str, on: float, off: float, has_unseen: bool) -> Tensor:
    if scenario not in SCENARIOS:
        raise ValueError(f"scenario is {scenario!r}; allowed are {', '.join(SCENARIOS)}")
    if not (0 < on < 1 and 0 < off < 1):
        raise ValueError(f"start probabilities are on={on:g}, off={off:g}; allowed are values strictly between 0 and 1")
    chosen, rejected = (on if is_on else off for is_on in SCENARIOS[scenario])
    total = chosen + rejected
    if has_unseen and total >= 1:
        raise ValueError(
            f"start probabilities of {scenario} sum to {total:g} (chosen {chosen:g}, rejected {rejected:g}); they must "
            "stay below 1 so that the unseen responses have mass: lower on or off"
        )
    if not has_unseen and not math.isclose(total, 1.0, abs_tol=1e-12):
        raise ValueError(
            f"start probabilities of {scenario} sum to {total:g} but a prompt has no unseen response to take the rest; "
            "they must sum to 1: change on and off or add responses"
        )
    return torch.tensor([chosen, rejected], dtype=torch.float64)


def _shares(preferences: Preferences, prompts: int, responses: int) -> Tensor:
    """Return how the chosen and the rejected mass of each prompt is split over its responses, [2, prompt, response]."""
    chosen, rejected = preferences.flat(responses).view(2, -1)
    share = torch.zeros(2, prompts * responses, dtype=torch.float64)
    share[0, chosen] = 1.0
    share[1, rejected] = 1.0
    if bool((share.sum(0) > 1).any()):
        raise ValueError(
            "a response is chosen in one pair and rejected in another of the same prompt; a scenario cannot give it "
            "two start probabilities: build the Problem from target_log_prob instead"
        )
    share = share.view(2, prompts, responses)
    return share / share.sum(-1, keepdim=True).clamp_min(1.0)


def _exponential(generator: torch.Generator, prompts: int, responses: int) -> Tensor:
    """Draw unnormalised flat-Dirichlet weights, exponentials of rate 1."""
    return -torch.log1p(-torch.rand(prompts, responses, generator=generator, dtype=torch.float64))
