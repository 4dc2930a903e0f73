"""Predictors from hidden states: CHES, its length-normalised form, the overlap of features, the unembedding's part.

H(x, y) is the last hidden state of a response, summed over the positions that predict its tokens. What that is here:

    table        a one-hot vector for each prompt and response: <H+, H-> = 0 and |H|^2 = 1, so CHES is -1 for every pair
    log-linear   the features phi(x, y), whose product with theta is the response's score
    MLP          the second hidden layer, which sees the prompt alone. A response is one token, predicted from the
                 prompt's last position, so H+ = H- and CHES is 0 for every pair

For one-token responses through an unembedding, what tells pairs apart stands in its rows: `unembedding_fall`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lab.gradients import pick_pairs
from lab.policies import MLP, LogLinear, Policy, Tabular
from lab.preferences import Preferences
from lab.problems import Problem


def hidden_states(policy: Policy, parameters: Tensor) -> Tensor:
    """Return H, the last hidden state of every response, summed over the positions that predict its tokens.

    Args:
        policy: a table, a log-linear policy or an MLP.
        parameters: the state, [run, parameter].

    Returns:
        [run, prompt, response, unit] of the parameters' dtype.

    Raises:
        TypeError: for another policy, whose hidden states are not known here.

    Source: Razin et al. 2025 (arXiv 2410.08847), definition of CHES; the reading for each policy is our own.
    """
    match policy:
        case LogLinear():
            return policy.features.to(parameters)
        case MLP():
            last = policy.forward(parameters)[1][1]
            return last[:, :, None].expand(-1, -1, policy.responses, -1)
        case Tabular():
            cells = policy.prompts * policy.responses
            one_hot = torch.eye(cells, dtype=parameters.dtype, device=parameters.device)
            return one_hot.view(policy.prompts, policy.responses, cells).expand(len(parameters), -1, -1, -1)
        case _:
            raise TypeError(
                f"{type(policy).__name__} has no hidden states that are known here; allowed are Tabular, LogLinear and "
                "MLP: say in lab.predictors.hidden what H of a response is"
            )


def ches(policy: Policy, parameters: Tensor, preferences: Preferences) -> Tensor:
    """Compute CHES of every pair, the centred hidden embedding similarity: <H+, H-> - |H+|^2.

    Args:
        policy: the policy.
        parameters: the state, [run, parameter]; in float64, since the square of a sum over tokens overflows half.
        preferences: the pairs.

    Returns:
        [run, pair]; larger is said to mean a deeper fall of the chosen response.

    Source: Razin et al. 2025 (arXiv 2410.08847); tests/test_predictors.py.
    """
    chosen, rejected = _at_pairs(hidden_states(policy, parameters), preferences)
    # As one product: where H+ = H-, the two terms cancel exactly.
    return (chosen * (rejected - chosen)).sum(-1)


def normalised_ches(policy: Policy, parameters: Tensor, problem: Problem) -> Tensor:
    """Compute the length-normalised CHES of every pair: <H+, H-> / (n+ n-) - |H+|^2 / n+^2, n the number of tokens.

    Args:
        policy: the policy.
        parameters: the state, [run, parameter].
        problem: gives the pairs and their lengths; without lengths every response is one token, and this is CHES.

    Returns:
        [run, pair].

    Source: Razin et al. 2025 (arXiv 2410.08847); tests/test_predictors.py.
    """
    hidden = hidden_states(policy, parameters)
    if problem.lengths is not None:
        hidden = hidden / problem.lengths.to(hidden)[..., None]
    chosen, rejected = _at_pairs(hidden, problem.preferences)
    return (chosen * (rejected - chosen)).sum(-1)


def feature_overlap(policy: Policy, parameters: Tensor, preferences: Preferences) -> Tensor:
    """Compute the cosine of H+ and H- of every pair, [run, pair]; NaN where one of them is 0.

    Source: definition; tests/test_predictors.py.
    """
    chosen, rejected = _at_pairs(hidden_states(policy, parameters), preferences)
    return (chosen * rejected).sum(-1) / (chosen.norm(dim=-1) * rejected.norm(dim=-1))


def unembedding_fall(policy: Policy, parameters: Tensor, preferences: Preferences) -> Tensor:
    """Compute the part of a pair's own fall that passes through the prompt's last hidden state.

    <w- - w+, w+ - sum_y pi(y|x) w_y>, w_y the unembedding's row of response y: log pi+ falls at this rate when the
    hidden state itself takes the step of the pair, d h = w+ - w-.

    It has no name in the literature. It is what the geometry of token unembeddings that Razin et al. discuss for
    one-token responses becomes for the chosen response; the one of log-linear features is `own_fall`.

    Args:
        policy: the policy.
        parameters: the state, [run, parameter].
        preferences: the pairs.

    Returns:
        [run, pair]; NaN for a policy without a hidden layer that responses share.

    Source: own derivation; tests/test_predictors.py holds it to autograd.
    """
    if not isinstance(policy, MLP):
        return parameters.new_full((len(parameters), len(preferences)), torch.nan)
    rows = policy.split(parameters)[4].mT  # [run, response, unit]
    prob = policy.forward(parameters)[0].softmax(-1)
    centred = rows[:, None] - (prob @ rows)[:, :, None]
    chosen, rejected = _at_pairs(centred, preferences)
    return (chosen * (rejected - chosen)).sum(-1)


def _at_pairs(table: Tensor, preferences: Preferences) -> tuple[Tensor, Tensor]:
    """Pick the chosen and the rejected rows, each [run, pair, unit], out of [run, prompt, response, unit]."""
    flat = preferences.flat(table.shape[2]).to(table.device)
    chosen, rejected = pick_pairs(table.flatten(1, 2).mT, flat)
    return chosen.mT, rejected.mT
