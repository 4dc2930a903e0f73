"""Preference data from a true reward: who is compared with whom, who wins, and the exact or the sampled pairs of it.

A comparison of prompt x draws two different responses, each from a sampler s, and a judge says which one is better. The
pairs of a problem are then all ordered couples of each prompt, and the data are nothing but their weights: in the limit
of infinitely many comparisons (`population`)

    w(x, i over j) = q(x) 2 s(i) s(j) P(i over j) / (1 - sum_y s(y)^2),

and the counted shares of a finite number of them (`sampled`). Every objective thus has an exact and a sampled form.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lab.preferences import Preferences
from lab.randomness import COMPARISONS, draw_cells, per_seed


def bradley_terry(reward: Tensor) -> Tensor:
    """Return P(i over j) = s(r_i - r_j), [run, prompt, i, j].

    Args:
        reward: r, [run, prompt, response].

    Raises:
        ValueError: if a reward is not finite.

    Source: Bradley & Terry 1952; Rafailov et al. 2023 (arXiv 2305.18290), eq. 1.
    """
    _check_reward(reward)
    return torch.sigmoid(reward[..., :, None] - reward[..., None, :])


def noisy_judge(reward: Tensor, agreement: float | Tensor = 1.0) -> Tensor:
    """Return P(i over j) of a judge that is right at a given rate: `agreement` where r_i > r_j, 1/2 for equal ones.

    Args:
        reward: r, [run, prompt, response].
        agreement: rate in [1/2, 1]; 1 is the deterministic judge, 1/2 a coin; a number or one a run, [run].

    Returns:
        [run, prompt, i, j].

    Raises:
        ValueError: if the rate is out of range, or a reward is not finite.
    """
    _check_reward(reward)
    rate = torch.as_tensor(agreement, dtype=reward.dtype).reshape(-1, 1, 1, 1)
    if not bool(((rate >= 0.5) & (rate <= 1)).all()):
        raise ValueError(
            f"agreement is {agreement}; allowed are numbers from 0.5 to 1: a judge that is wrong more often than right "
            "is one of the negative reward"
        )
    order = torch.sign(reward[..., :, None] - reward[..., None, :])
    return torch.where(order > 0, rate, torch.where(order < 0, 1 - rate, 0.5))


def population(sampler_log_prob: Tensor, wins: Tensor, *, prompt_weight: Tensor | None = None) -> Preferences:
    """Weigh every ordered couple of responses as infinitely many comparisons would.

    Args:
        sampler_log_prob: log s(y|x), [run, prompt, response], nats; -inf for a response that is never drawn.
        wins: P(i over j), [run, prompt, i, j]; P(i over j) + P(j over i) = 1.
        prompt_weight: q, share of each prompt's comparisons, [prompt]; None means equal shares, 0 leaves one out.

    Returns:
        All prompts * responses * (responses - 1) pairs, with weights [run, pair].

    Raises:
        ValueError: if a prompt's sampler puts all its mass on one response, or shapes do not fit.
    """
    couples = _couples(sampler_log_prob, wins)
    share = _prompt_share(prompt_weight, couples.shape[1])
    return _pairs(couples * wins * share[:, None, None])


def sampled(
    sampler_log_prob: Tensor,
    wins: Tensor,
    *,
    seeds: tuple[int, ...],
    comparisons: int,
    repeats: int = 1,
    prompt_weight: Tensor | None = None,
) -> Preferences:
    """Draw comparisons and their labels, and weigh every ordered couple by its share of them.

    Args:
        sampler_log_prob: log s(y|x), [run, prompt, response], nats.
        wins: P(i over j), [run, prompt, i, j].
        seeds: seed of each run, [run]; a run's data depend on its seed alone, and those of fewer comparisons are the
            first of more.
        comparisons: couples drawn for each prompt, at least 1.
        repeats: labels drawn for each couple, at least 1.
        prompt_weight: as in `population`.

    Returns:
        As `population`; its mean over seeds is that of `population`.

    Raises:
        ValueError: for counts below 1, and as in `population`.
    """
    for name, value in (("comparisons", comparisons), ("repeats", repeats)):
        if value < 1:
            raise ValueError(f"{name} is {value}; allowed are 1 or more")
    couples = _couples(sampler_log_prob, wins)
    runs, prompts = couples.shape[:2]
    if len(seeds) != runs:
        raise ValueError(f"{len(seeds)} seeds for {runs} runs; give one seed a run")
    share = _prompt_share(prompt_weight, prompts)

    def draw(generator: torch.Generator) -> Tensor:
        # One row a comparison, so that fewer comparisons are the first of more.
        return torch.rand(comparisons, prompts, 1 + repeats, generator=generator, dtype=torch.float64)

    uniform = per_seed(seeds, COMPARISONS, draw).movedim(1, -1)  # [run, prompt, 1 + repeats, comparison]
    return _pairs(_count(couples, wins, uniform) * share[:, None, None])


@dataclass(frozen=True)
class Online:
    """Comparisons of what the policy itself draws while it is trained.

    Every `refresh` updates the data are drawn anew from the policy as it stands, labelled by the same judge: 1 is
    online training, more are rounds of an iterative one.

    Args:
        wins: P(i over j), [run, prompt, i, j].
        refresh: updates on each draw, at least 1.
        comparisons: couples drawn for each prompt; 0 for infinitely many.
        repeats: labels drawn for each couple.
        prompt_weight: as in `population`.

    Raises:
        ValueError: for counts out of range, or `wins` that are no probabilities.
    """

    wins: Tensor
    refresh: int = 1
    comparisons: int = 0
    repeats: int = 1
    prompt_weight: Tensor | None = None

    def __post_init__(self) -> None:
        for name, least in (("refresh", 1), ("comparisons", 0), ("repeats", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed are {least} or more")
        _check_wins(self.wins)
        _prompt_share(self.prompt_weight, self.wins.shape[1])

    def of_runs(self, rows: slice) -> Online:
        """Return the same for some of the runs."""
        return replace(self, wins=self.wins[rows])

    def on(self, device: torch.device) -> Online:
        """Return the same on a device, so that nothing is sent there when the policy draws."""
        weight = None if self.prompt_weight is None else self.prompt_weight.to(device)
        return replace(self, wins=self.wins.to(device), prompt_weight=weight)

    def draw(self, log_prob: Tensor, uniform: Tensor | None) -> Tensor:
        """Return the weights of all ordered couples when a policy draws, [run, pair], as in `population` or `sampled`.

        Args:
            log_prob: log pi, [run, prompt, response], nats.
            uniform: numbers in [0, 1), [run, prompt, 1 + repeats, comparison]; None for infinitely many comparisons.
        """
        couples, wins = _joint(log_prob), self.wins.to(log_prob)
        table = couples * wins if uniform is None else _count(couples, wins, uniform.to(log_prob))
        share = torch.ones(len(wins[0]), device=wins.device) if self.prompt_weight is None else self.prompt_weight
        table = table * (share.double() / share.double().sum()).to(log_prob)[:, None, None]
        weight = table.flatten(1).index_select(1, _different(*log_prob.shape[1:], device=log_prob.device))
        return weight / weight.sum(-1, keepdim=True)


def _check_wins(wins: Tensor) -> None:
    # Asked so that a NaN, which lies in no range, is refused as well.
    if not bool(((wins >= 0) & (wins <= 1) & ((wins + wins.mT - 1).abs() <= 1e-9)).all()):
        raise ValueError(
            "wins holds P(i over j) and P(j over i) that do not sum to 1, or are not in [0, 1]; give probabilities"
        )


def _check_reward(reward: Tensor) -> None:
    if not bool(torch.isfinite(reward).all()):
        raise ValueError("reward holds NaN or infinity; a judge needs finite rewards: correct it")


def _couples(sampler_log_prob: Tensor, wins: Tensor) -> Tensor:
    """Return the probability of each ordered couple of different responses, [run, prompt, i, j]; they sum to 1."""
    runs, prompts, responses = sampler_log_prob.shape
    if wins.shape != (runs, prompts, responses, responses):
        raise ValueError(
            f"wins has shape {tuple(wins.shape)}; it must be [run, prompt, i, j], here "
            f"({runs}, {prompts}, {responses}, {responses})"
        )
    _check_wins(wins)
    couples = _joint(sampler_log_prob)
    if not bool(torch.isfinite(couples).all()):
        raise ValueError(
            "a sampler has all its mass on one response and can draw no couple; spread it over two or more"
        )
    return couples


def _joint(log_prob: Tensor) -> Tensor:
    """Return the probability of each ordered couple of different responses, [run, prompt, i, j]; NaN if none is."""
    same = torch.eye(log_prob.shape[-1], dtype=torch.bool, device=log_prob.device)
    joint = (log_prob[..., :, None] + log_prob[..., None, :]).masked_fill(same, -torch.inf)
    return joint.flatten(2).softmax(-1).view_as(joint)


def _count(couples: Tensor, wins: Tensor, uniform: Tensor) -> Tensor:
    """Draw couples and labels by uniform numbers and count who won, [run, prompt, i, j]."""
    responses, repeats = couples.shape[-1], uniform.shape[2] - 1
    cell = draw_cells(couples.flatten(2), uniform[:, :, 0])
    win = (uniform[:, :, 1:] < wins.flatten(2).gather(-1, cell)[:, :, None]).sum(2)  # [run, prompt, comparison]
    mirrored = cell % responses * responses + cell // responses
    counts = torch.zeros_like(couples).flatten(2)
    counts.scatter_add_(-1, cell, win.to(counts)).scatter_add_(-1, mirrored, (repeats - win).to(counts))
    return counts.view_as(couples)


def _different(prompts: int, responses: int, *, device: torch.device | None = None) -> Tensor:
    """Return the places of different responses in a flat [prompt, i, j] table, in their order.

    They are counted out and not looked for, which would wait for the device: after each cell of the diagonal but the
    last of a prompt come as many others as there are responses.
    """
    place = torch.arange(responses * (responses - 1), device=device)
    place = place + place // responses + 1
    return (torch.arange(prompts, device=device)[:, None] * responses**2 + place).flatten()


def _prompt_share(weight: Tensor | None, prompts: int) -> Tensor:
    share = torch.ones(prompts, dtype=torch.float64) if weight is None else weight.double()
    if share.shape != (prompts,) or not bool((share >= 0).all()) or float(share.sum()) <= 0:
        raise ValueError(f"prompt_weight is {share.tolist()}; give {prompts} numbers >= 0, not all 0")
    return share / share.sum()


def _pairs(table: Tensor) -> Preferences:
    """Turn weights [run, prompt, i, j] into pairs: i chosen, j rejected."""
    _, prompts, responses, _ = table.shape
    prompt, chosen, rejected = torch.meshgrid(*map(torch.arange, (prompts, responses, responses)), indexing="ij")
    different = _different(prompts, responses)
    prompt, chosen, rejected = (each.flatten()[different] for each in (prompt, chosen, rejected))
    return Preferences(prompt, chosen, rejected, table.flatten(1)[:, different])
