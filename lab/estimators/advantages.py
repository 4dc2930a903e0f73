"""How much better than expected a drawn response was, by every baseline in use.

A batch is held as the share of each response among the K that a prompt drew, [run, prompt, response]; infinitely many
draws are the policy's own probabilities. Whatever depends on the drawn responses alone is then a sum over this table,
and exact and sampled forms are one formula.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

SPREAD_FLOOR = 1e-4  # added to a group's standard deviation, as in GRPO's public implementations
WHITEN_FLOOR = 1e-8


def advantages(
    score: Tensor, share: Tensor, samples: int, *, baseline: str, value: Tensor | None = None, whiten: bool = False
) -> Tensor:
    """Compute the advantage of every response of a batch.

        none           A = r
        mean           A = r - mean of r over the whole batch, all prompts
        leave_one_out  A_i = r_i - mean of the prompt's other draws = K / (K - 1) (r_i - mean of the prompt's draws)
        group          A = (r - mean of the prompt's draws) / (their standard deviation + 1e-4), the latter over K - 1
        value          A = r - V(x), the expectation under the policy that drew

    Args:
        score: r, what the responses earned, [run, prompt, response].
        share: share of each response among the draws of its prompt, [run, prompt, response]; sums to 1.
        samples: K, draws a prompt; 0 for infinitely many.
        baseline: one of BASELINES.
        value: V, [run, prompt]; needed by the baseline "value" only.
        whiten: whether A is then shifted and scaled to mean 0 and standard deviation 1 over the whole batch.

    Returns:
        [run, prompt, response]; of a response that was not drawn it is what it would have been, but for leave_one_out,
        which counts it as drawn.

    Raises:
        ValueError: for an unknown baseline, one that needs two draws and has one, or a missing value.

    Source: Williams 1992; Ahmadian et al. 2024 (RLOO, arXiv 2402.14740); Shao et al. 2024 (GRPO, arXiv 2402.03300);
    Schulman et al. 2017 (arXiv 1707.06347). tests/test_estimators.py holds them to plain loops over the draws.
    """
    if baseline not in BASELINES:
        raise ValueError(f"baseline is {baseline!r}; allowed are {', '.join(BASELINES)}")
    if samples == 1 and baseline in ("leave_one_out", "group"):
        raise ValueError(f"baseline is {baseline} with 1 sample a prompt; it compares draws: give samples=2 or more")
    if baseline == "value":
        if value is None:
            raise ValueError(
                "baseline is value and no value is given; give E r under the policy that drew, [run, prompt]"
            )
        found = score - value[..., None]
    else:
        found = BASELINES[baseline](score, share, samples)
    return _whiten(found, share) if whiten else found


def _none(score: Tensor, share: Tensor, samples: int) -> Tensor:
    return score


def _mean(score: Tensor, share: Tensor, samples: int) -> Tensor:
    return score - (share * score).sum(-1).mean(-1)[:, None, None]


def _leave_one_out(score: Tensor, share: Tensor, samples: int) -> Tensor:
    centred = score - (share * score).sum(-1, keepdim=True)
    return centred * (samples / (samples - 1)) if samples else centred


def _group(score: Tensor, share: Tensor, samples: int) -> Tensor:
    centred = score - (share * score).sum(-1, keepdim=True)
    variance = (share * centred**2).sum(-1, keepdim=True)
    if samples:
        variance = variance * (samples / (samples - 1))
    return centred / (variance.sqrt() + SPREAD_FLOOR)


def _whiten(values: Tensor, share: Tensor) -> Tensor:
    weight = share / share.shape[1]  # every prompt has as many draws
    centred = values - (weight * values).sum((-2, -1), keepdim=True)
    variance = (weight * centred**2).sum((-2, -1), keepdim=True)
    return centred / (variance.sqrt() + WHITEN_FLOOR)


BASELINES: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {
    "none": _none,
    "mean": _mean,
    "leave_one_out": _leave_one_out,
    "group": _group,
    "value": _none,
}
