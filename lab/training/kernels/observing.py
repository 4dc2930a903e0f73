"""What the recordings need of the tables besides the moves, and the recordings by torch where there is no kernel."""

from __future__ import annotations

import torch
from torch import Tensor

from lab.problems import Problem


def recorded_shapes(problem: Problem) -> dict[str, tuple[int, ...]]:
    """Return the recordings by name, each with what stands between row and run."""
    pairs = len(problem.preferences)
    return {
        "chosen_log_prob": (pairs,),
        "rejected_log_prob": (pairs,),
        "log_unseen_mass": (problem.prompts,),
        "pair_gradient_log_magnitude": (2, pairs),
        "gradient_log_norm": (2,),
    }


def pair_order(problem: Problem) -> Tensor:
    """Return the pairs of each prompt, [prompt, pair of the prompt].

    Raises:
        ValueError: if a response is in two pairs, prompts have unequal numbers of pairs, or a run gives a pair no
            weight.
    """
    pairs = problem.preferences
    if pairs.weight.ndim == 2 and bool((pairs.weight == 0).any()):
        raise ValueError(
            "a run gives a pair the weight 0, so that the pair names nothing there, and which responses are unseen "
            "differs from run to run; recordings on the device need one and the same: use lab.train and lab.metrics"
        )
    flat = pairs.flat(problem.responses)
    if len(flat.unique()) < len(flat):
        raise ValueError(
            "a response is in two pairs, and recordings on the device need pairs that share none: give each response "
            "to one pair, or use lab.train and lab.metrics"
        )
    counts = torch.bincount(pairs.prompt, minlength=problem.prompts)
    if bool((counts != counts[0]).any()):
        raise ValueError(
            f"the prompts have {', '.join(map(str, counts.tolist()))} pairs, and recordings on the device need equally "
            "many of each: drop some, or use lab.train and lab.metrics"
        )
    return pairs.prompt.argsort(stable=True).view(problem.prompts, -1)


def still(problem: Problem, start: Tensor) -> dict[str, Tensor]:
    """Return what stays as it is of tables under a loss of the margin.

    Args:
        problem: gives pairs and sizes.
        start: logits, [run, prompt * response], on the device and in the dtype of the computation.

    Returns:
        "order" [prompt, pair of the prompt]; the logits "chosen" and "rejected" [pair, run]; and of each prompt's
        responses that no pair names, [prompt, run], "rest", log sum exp(logit), and "ratio", their
        (sum pi^2)^(1/2) / sum pi, which never moves. Without such responses these are -inf and 0.
    """
    pairs = problem.preferences
    chosen, rejected = start.t()[pairs.flat(problem.responses).to(start.device)].chunk(2)
    named = ~pairs.unseen(problem.prompts, problem.responses).to(start.device)
    unseen = start.unflatten(1, named.shape).masked_fill(named, -torch.inf)
    rest = unseen.logsumexp(-1)
    ratio = (0.5 * (2 * unseen).logsumexp(-1) - rest).exp().masked_fill(rest.isneginf(), 0.0)
    return {
        "order": pair_order(problem).to(start.device),
        "chosen": chosen.contiguous(),
        "rejected": rejected.contiguous(),
        "rest": rest.t().contiguous(),
        "ratio": ratio.t().contiguous(),
    }


def observe(tables: dict[str, Tensor], moves: Tensor, push: Tensor, weight: Tensor) -> dict[str, Tensor]:
    """Compute the recordings from what moved.

    With A the term's weighted pushes on its responses, the gradient in the logits of a prompt is
    A_y (1 - pi_y) - pi_y sum over z != y of A_z. 1 - pi_y is the sum of the others, and no difference that cancels. The
    unseen responses make one row, of their mass, whose length in the norm is (sum pi^2)^(1/2).

    Args:
        tables: from `still`.
        moves: how far each margin has moved, [row, pair, run].
        push: d loss / d log pi(chosen), not weighted, [row, pair, run].
        weight: pair weights, [pair, run or 1].

    Returns:
        The recordings by name, [row, ..., run].

    Source: own derivation; tests/test_training_kernels.py.
    """
    order, rest = tables["order"], tables["rest"][:, None].expand(len(moves), -1, -1, -1)
    each = order.shape[1]
    up, down = tables["chosen"] + 0.5 * moves, tables["rejected"] - 0.5 * moves
    logits = torch.cat((up[:, order], down[:, order], rest), 2)  # [row, prompt, chosen · rejected · unseen, run]
    log_prob = logits.log_softmax(2)
    prob = log_prob.exp()
    apart = 1 - torch.eye(2 * each + 1).to(prob)
    others, pushed = apart @ prob, (weight * push)[:, order]
    norms = []
    for term in (slice(each), slice(each, 2 * each)):
        by_log_prob = torch.zeros_like(prob)
        by_log_prob[:, :, term] = pushed
        gradient = by_log_prob * others - prob * (apart @ by_log_prob)
        gradient[:, :, -1] *= tables["ratio"]
        gradient = gradient.flatten(1, 2)
        largest = gradient.abs().amax(1, keepdim=True)  # divided by, so that no square over- or underflows
        scaled = gradient / largest.clamp_min(torch.finfo(prob.dtype).tiny)
        norms.append(largest[:, 0].log() + 0.5 * scaled.square().sum(1).log())
    chosen, rejected = torch.empty_like(moves), torch.empty_like(moves)
    places = order.flatten()
    chosen[:, places] = log_prob[:, :, :each].flatten(1, 2)
    rejected[:, places] = log_prob[:, :, each : 2 * each].flatten(1, 2)
    size = push.abs().log()
    return {
        "chosen_log_prob": chosen,
        "rejected_log_prob": rejected,
        "log_unseen_mass": log_prob[:, :, -1],
        "pair_gradient_log_magnitude": torch.stack((size - chosen, size - rejected), 1),
        "gradient_log_norm": torch.stack(norms, 1),
    }
