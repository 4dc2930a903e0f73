"""Judges that are not the truth: those that err at random, those that always err alike, and how they rank policies."""

from __future__ import annotations

import numpy as np
import xarray as xr

from lab.metrics.probabilities import exp, label


def judged_win_rate(rate: xr.DataArray, agreement: xr.DataArray | float) -> xr.DataArray:
    """Compute the win rate that a judge reports who is right at a given rate, whatever he compares.

    1/2 + (2 a - 1) (w - 1/2): all that his errors do is to draw every rate towards 1/2

    Args:
        rate: true win rate w, any dimensions.
        agreement: a, how often the judge is right, in [0, 1]; broadcasts.

    Returns:
        The expected rate, broadcast.

    Raises:
        ValueError: If an agreement is out of range.

    Source: own derivation, a w + (1 - a) (1 - w); tests/test_metrics_judges.py.
    """
    right = xr.DataArray(agreement) if not isinstance(agreement, xr.DataArray) else agreement
    if not bool(((right >= 0) & (right <= 1)).all()):
        raise ValueError(f"agreement is {np.asarray(agreement).tolist()}; allowed are numbers from 0 to 1")
    return label(0.5 + (2 * right - 1) * (rate - 0.5), "judged_win_rate", "win rate that the judge reports", "1")


def counted(rate: xr.DataArray, comparisons: int, generator: np.random.Generator) -> xr.DataArray:
    """Draw the win rate that is counted in a number of comparisons.

    Args:
        rate: The probability of a win, any dimensions.
        comparisons: How many are counted for each entry, at least 1.
        generator: Where the draws come from.

    Returns:
        Counted rates, dimensions of `rate`; their mean is `rate`.

    Raises:
        ValueError: If comparisons is below 1.

    Source: definition; tests/test_metrics_judges.py.
    """
    if comparisons < 1:
        raise ValueError(f"comparisons is {comparisons}; allowed are 1 or more")
    wins = generator.binomial(comparisons, np.clip(rate.values, 0, 1))
    return label(rate.copy(data=wins / comparisons), "counted", "counted win rate", "1")


def judge_agreement(judge: xr.DataArray, reward: xr.DataArray, log_prob: xr.DataArray) -> xr.DataArray:
    """Compute how often a judge with a reward of his own agrees with the truth on two draws of a policy.

    Σ_{y ≠ z} π(y|x) π(z|x) [the two rewards order y and z alike] / Σ_{y ≠ z} π(y|x) π(z|x); a tie of the judge is half

    Args:
        judge: his reward, [..., prompt, response].
        reward: the true one r, [..., prompt, response].
        log_prob: log π of what he compares, [..., prompt, response] in nats.

    Returns:
        [..., prompt]; NaN where a policy has all its mass on one response.

    Source: own definition; tests/test_metrics_judges.py.
    """
    first, second = (array - array.rename(response="_other") for array in (judge, reward))
    alike = (first * second > 0) + 0.5 * (first == 0)
    return label(_on_two_draws(alike, log_prob), "judge_agreement", "agreement with the truth", "1")


def labeller_agreement(reward: xr.DataArray, log_prob: xr.DataArray) -> xr.DataArray:
    """Compute how often a labeller who draws by the Bradley-Terry law agrees with the truth on two draws of a policy.

    Σ_{y ≠ z} π(y|x) π(z|x) σ(|r(y) - r(z)|) / Σ_{y ≠ z} π(y|x) π(z|x)

    Args:
        reward: the true reward r, [..., prompt, response].
        log_prob: log π of what he compares, [..., prompt, response] in nats.

    Returns:
        [..., prompt], 1/2 or more; NaN where a policy has all its mass on one response.

    Source: own definition, after Bradley & Terry 1952; tests/test_metrics_judges.py.
    """
    apart = abs(reward - reward.rename(response="_other"))
    right = apart.copy(data=0.5 * (1 + np.tanh(0.5 * apart.values)))
    return label(_on_two_draws(right, log_prob), "labeller_agreement", "agreement with the truth", "1")


def _on_two_draws(values: xr.DataArray, log_prob: xr.DataArray) -> xr.DataArray:
    """Average over two different responses that a policy draws: [..., response, _other] to [...]."""
    prob = exp(log_prob)
    other = prob.rename(response="_other")
    places = xr.DataArray(np.arange(prob.sizes["response"]), dims="response")
    chance = prob * other * (places != places.rename(response="_other"))
    return (values * chance).sum(("response", "_other")) / chance.sum(("response", "_other"))


def rank_correlation(first: xr.DataArray, second: xr.DataArray, over: str) -> xr.DataArray:
    """Compute Spearman's correlation of two lists in every cell of the other dimensions.

    Args:
        first: [..., over].
        second: [..., over], broadcast against it.
        over: The dimension that is ranked, such as "method".

    Returns:
        [...] in [-1, 1]; NaN where one of the two takes one value only.

    Source: Spearman 1904, mean ranks for ties; tests/test_metrics_judges.py holds it to scipy.
    """
    ranks = [_centred_ranks(each.transpose(..., over)) for each in xr.broadcast(first, second)]
    product = (ranks[0] * ranks[1]).sum(over)
    size = ((ranks[0] ** 2).sum(over) * (ranks[1] ** 2).sum(over)) ** 0.5
    return label(product / size.where(size > 0), "rank_correlation", "rank correlation with the truth", "1")


def _centred_ranks(array: xr.DataArray) -> xr.DataArray:
    values = array.values
    below = (values[..., None, :] < values[..., :, None]).sum(-1)
    equal = (values[..., None, :] == values[..., :, None]).sum(-1)
    # Mean rank of a tie, less the mean of all ranks.
    return array.copy(data=below + 0.5 * (equal - 1) - 0.5 * (values.shape[-1] - 1))
