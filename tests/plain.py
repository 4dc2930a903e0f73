"""A second implementation to hold the first one against: one run, loops, plain torch and autograd, no code of the lab.

It reads the settings of the lab's objects (sizes, betas, feature tables) and none of their methods.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def one(value, run: int):
    """A hyper-parameter of one run."""
    return value[run] if isinstance(value, Tensor) and value.ndim else value


def logits(policy, theta: Tensor, run: int) -> Tensor:
    """The scores of one run, [prompt, response]."""
    match type(policy).__name__:
        case "Tabular":
            return theta.reshape(policy.prompts, policy.responses)
        case "LogLinear":
            return policy.offset[run] + torch.einsum("xyf,f->xy", policy.features[run], theta)
        case "MLP":
            activation = {"relu": functional.relu, "tanh": torch.tanh}[policy.activation]
            layers, signal, first = (policy.width, policy.width, policy.responses), torch.eye(policy.prompts), 0
            signal = signal.to(theta)
            for depth, outputs in enumerate(layers):
                inputs = signal.shape[1]
                weight = theta[first : first + inputs * outputs].reshape(inputs, outputs)
                bias = theta[first + inputs * outputs : first + (inputs + 1) * outputs]
                signal = functional.linear(signal, weight.T, bias)
                signal = activation(signal) if depth < 2 else signal
                first += (inputs + 1) * outputs
            assert first == len(theta)
            return signal


def log_probs(policy, theta: Tensor, run: int) -> Tensor:
    """log pi of one run, [prompt, response]."""
    scores = logits(policy, theta, run)
    return scores - torch.logsumexp(scores, -1, keepdim=True)


def logistic(margin: Tensor) -> Tensor:
    """-log of the logistic function, log(e^0 + e^-margin)."""
    return torch.logaddexp(torch.zeros_like(margin), -margin)


def pair_loss(objective, run: int, chosen: Tensor, rejected: Tensor, chosen_start, rejected_start) -> Tensor:
    """The loss of one pair of one run."""
    u, v = chosen - chosen_start, rejected - rejected_start
    match type(objective).__name__:
        case "DPO":
            return logistic(one(objective.beta, run) * (u - v))
        case "FlexDPO":
            return logistic(one(objective.beta_chosen, run) * u - one(objective.beta_rejected, run) * v)
        case "IPO":
            return (u - v - 1 / (2 * one(objective.beta, run))).square()
        case "SLiC":
            return (1 - one(objective.beta, run) * (u - v)).clamp(min=0)
        case "SFT":
            return -chosen
        case "WeightedSum":
            return sum(
                one(weight, run) * pair_loss(part, run, chosen, rejected, chosen_start, rejected_start)
                for part, weight in zip(objective.objectives, objective.weights, strict=True)
            )


def total_loss(objective, preferences, table: Tensor, start: Tensor, run: int) -> Tensor:
    """The data-set loss sum_p w_p loss_p of one run from its tables log pi and log pi_ref, [prompt, response]."""
    total = table.new_zeros(())
    weights = preferences.weight / preferences.weight.sum()
    for pair, weight in enumerate(weights.tolist()):
        x, c, r = (int(getattr(preferences, name)[pair]) for name in ("prompt", "chosen", "rejected"))
        total = total + weight * pair_loss(objective, run, table[x, c], table[x, r], start[x, c], start[x, r])
    return total


def gradient(policy, objective, preferences, theta: Tensor, start: Tensor, run: int) -> Tensor:
    """The derivative of one run's whole loss in its parameters, by autograd, [parameter]."""
    theta = theta.detach().clone().requires_grad_()
    return torch.autograd.grad(
        total_loss(objective, preferences, log_probs(policy, theta, run), start, run), theta, materialize_grads=True
    )[0]


def train(policy, objective, preferences, optimizer, theta: Tensor, run: int, steps: int) -> tuple[Tensor, Tensor]:
    """Train one run by torch.optim: log pi [step, prompt, response], parameters [step, parameter], start included."""
    theta = theta.detach().clone().requires_grad_()
    start = log_probs(policy, theta, run).detach()
    rate = float(one(optimizer.lr, run))
    match type(optimizer).__name__:
        case "SGD":
            stepper = torch.optim.SGD([theta], lr=rate)
        case "Momentum":
            stepper = torch.optim.SGD([theta], lr=rate, momentum=float(one(optimizer.momentum, run)))
        case "Adam":
            stepper = torch.optim.Adam(
                [theta], lr=rate, betas=(optimizer.beta1, optimizer.beta2), eps=optimizer.eps, foreach=False
            )
    tables, parameters = [start], [theta.detach().clone()]
    for _ in range(steps):
        theta.grad = gradient(policy, objective, preferences, theta, start, run)
        stepper.step()
        tables.append(log_probs(policy, theta, run).detach())
        parameters.append(theta.detach().clone())
    return torch.stack(tables), torch.stack(parameters)
