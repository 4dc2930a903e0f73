"""The plain loop: a module, automatic differentiation and an optimiser of PyTorch, one run after the other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from benchmarks.race.cases import WIDTH, Case, World


class Network(nn.Module):
    """The network 4-64-64-10; its input is one-hot, so the first layer's rows are its weights."""

    def __init__(self, start: list[Tensor]) -> None:
        super().__init__()
        prompts, responses = len(start[0]), start[5].shape[1]
        sizes = ((prompts, WIDTH), (WIDTH, WIDTH), (WIDTH, responses))
        self.layers = nn.ModuleList(nn.Linear(*size, dtype=torch.float64) for size in sizes)
        self.input = torch.eye(prompts, dtype=torch.float64)
        with torch.no_grad():
            for layer, weight, bias in zip(self.layers, start[::2], start[1::2], strict=True):
                layer.weight.copy_(weight.T)
                layer.bias.copy_(bias[0])

    def forward(self) -> Tensor:
        """Return the logits, [prompt, response]."""
        first, second, third = self.layers
        return third(torch.tanh(second(torch.tanh(first(self.input)))))


class Table(nn.Module):
    """One free logit for every prompt and response."""

    def __init__(self, start: list[Tensor]) -> None:
        super().__init__()
        self.logits = nn.Parameter(start[0].clone())

    def forward(self) -> Tensor:
        """Return the logits, [prompt, response]."""
        return self.logits


def prepare(case: Case, world: World) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Return what trains some of the runs, one after the other, and gives their recordings, [run, step, ...] each.

    Args:
        case: The case; its objective is DPO.
        world: What the runs start from.
    """
    torch.set_num_threads(1)

    def train(runs: np.ndarray) -> dict[str, np.ndarray]:
        kept = [_train_one(case, world, int(run)) for run in runs]
        return {name: np.stack([each[name] for each in kept]) for name in case.recordings}

    return train


def _train_one(case: Case, world: World, run: int) -> dict[str, np.ndarray]:
    start = [torch.from_numpy(part[run]) for part in world.start]
    beta, lr = float(world.beta[run]), float(world.lr[run])
    prompt, chosen, rejected = (torch.from_numpy(each) for each in (world.prompt, world.chosen, world.rejected))
    model = Network(start) if case.workload == "B" else Table(start)
    parameters = list(model.parameters())
    optimizer = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[case.optimizer](parameters, lr=lr)
    with torch.no_grad():
        reference = model().log_softmax(-1)
    unseen = torch.ones(reference.shape, dtype=torch.bool)
    unseen[prompt, chosen] = unseen[prompt, rejected] = False
    kept: dict[str, list[Tensor]] = {name: [] for name in case.recordings}
    for _ in range(case.steps + 1):
        logits = model()
        log_prob = logits.log_softmax(-1)
        up, down = log_prob[prompt, chosen], log_prob[prompt, rejected]
        margin = beta * (up - reference[prompt, chosen] - down + reference[prompt, rejected])
        loss = -logsigmoid(margin).mean()
        with torch.no_grad():
            push = beta * torch.sigmoid(-margin)
            by_logit = [_through_softmax(log_prob, prompt, place, sign * push / len(prompt))
                        for place, sign in ((chosen, -1), (rejected, 1))]  # fmt: skip
            kept["chosen"].append(up)
            kept["rejected"].append(down)
            kept["unseen"].append(log_prob.masked_fill(~unseen, -torch.inf).logsumexp(-1))
            kept["pair_gradient"].append(push.log() - torch.stack([up, down]))
            kept["logit_norm"].append(torch.stack([each.norm().log() for each in by_logit]))
        if case.workload == "B":
            terms = [torch.autograd.grad(logits, parameters, each, retain_graph=True) for each in by_logit]
            one, other = (torch.cat([part.flatten() for part in term]) for term in terms)
            kept["parameter_norm"].append(torch.stack([one.norm().log(), other.norm().log()]))
            kept["parameter_cosine"].append(one @ other / (one.norm() * other.norm()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {name: torch.stack(values).detach().numpy() for name, values in kept.items()}


def _through_softmax(log_prob: Tensor, prompt: Tensor, place: Tensor, weight: Tensor) -> Tensor:
    """Return A - pi sum A, with A the weights at their places, [prompt, response]."""
    table = torch.zeros_like(log_prob).index_put((prompt, place), weight, accumulate=True)
    return table - log_prob.exp() * table.sum(-1, keepdim=True)
