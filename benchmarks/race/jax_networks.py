"""Networks in JAX, tuned by hand: closed form, norms from inner products of layers, chunks of runs that fit a cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.nn import log_sigmoid, logsumexp

from benchmarks.race.cases import Case, World
from benchmarks.race.jax_natural import B1, B2, EPS


def chunked(case: Case, world: World, chunk: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return the training of runs that stand first, `chunk` at a time, and its arguments, each [run, ...].

    Args:
        case: The case.
        world: What the runs start from.
        chunk: Runs that are advanced together.
    """
    run = _one_run(case, world)

    def train(*given: Any) -> Any:
        if len(given[-1]) <= chunk:
            return jax.vmap(run)(*given)
        return jax.lax.map(lambda each: run(*each), given, batch_size=chunk)

    return train, (*world.start, world.beta, world.lr)


def sample(found: dict[str, Any], runs: np.ndarray) -> dict[str, np.ndarray]:
    """Take the recordings of some runs."""
    return {name: np.asarray(values[runs]) for name, values in found.items()}


def _one_run(case: Case, world: World) -> Callable[..., Any]:
    prompts, responses, pairs = case.sizes
    prompt = np.arange(prompts)  # one pair a prompt
    rest = np.array([sorted(set(range(responses)) - {up, down})
                     for up, down in zip(world.chosen, world.rejected, strict=True)])  # fmt: skip
    spots = (np.eye(responses)[world.chosen], np.eye(responses)[world.rejected])

    def forward(parameters: tuple[Any, ...]) -> tuple[Any, Any, Any]:
        w1, b1, w2, b2, w3, b3 = parameters
        first = jnp.tanh(w1 + b1)
        second = jnp.tanh(first @ w2 + b2)
        logits = second @ w3 + b3
        return first, second, logits - logsumexp(logits, -1, keepdims=True)

    def run(*given: Any) -> Any:
        *start, beta, lr = given
        reference = forward(tuple(start))[2]
        gap = reference[prompt, world.chosen] - reference[prompt, world.rejected]

        def step(carry: Any, number: Any) -> Any:
            parameters, mean, square = carry
            first, second, log_prob = forward(parameters)
            up, down = log_prob[prompt, world.chosen], log_prob[prompt, world.rejected]
            margin = beta * (up - down - gap)
            push, prob = beta * jax.nn.sigmoid(-margin) / pairs, jnp.exp(log_prob)
            signed = jnp.stack([push[:, None] * (prob - spots[0]), push[:, None] * (spots[1] - prob)])
            behind = (signed.reshape(-1, responses) @ parameters[4].T).reshape(2, prompts, -1) * (1 - second**2)
            front = (behind.reshape(2 * prompts, -1) @ parameters[2].T).reshape(behind.shape) * (1 - first**2)
            gram = _gram(jnp.eye(prompts), front) + _gram(first @ first.T, behind) + _gram(second @ second.T, signed)
            norms = jnp.sqrt(jnp.diag(gram))
            log_push = jnp.log(beta) + log_sigmoid(-margin)
            kept = {
                "chosen": up,
                "rejected": down,
                "unseen": logsumexp(jnp.take_along_axis(log_prob, rest, 1), -1),
                "pair_gradient": jnp.stack([log_push - up, log_push - down]),
                "logit_norm": 0.5 * jnp.log((signed**2).sum((1, 2))),
                "parameter_norm": jnp.log(norms),
                "parameter_cosine": gram[0, 1] / norms.prod(),
            }
            front, behind, signed = front.sum(0), behind.sum(0), signed.sum(0)
            gradient = (
                front, front.sum(0, keepdims=True),
                first.T @ behind, behind.sum(0, keepdims=True),
                second.T @ signed, signed.sum(0, keepdims=True),
            )  # fmt: skip
            mean = jax.tree.map(lambda m, g: B1 * m + (1 - B1) * g, mean, gradient)
            square = jax.tree.map(lambda v, g: B2 * v + (1 - B2) * g * g, square, gradient)
            root = jnp.sqrt(1 - B2**number)  # applied to eps and rate, which are fewer numbers than v
            rate = lr * root / (1 - B1**number)
            parameters = jax.tree.map(
                lambda theta, m, v: theta - rate * m / (jnp.sqrt(v) + EPS * root), parameters, mean, square
            )
            return (parameters, mean, square), kept

        zeros = jax.tree.map(jnp.zeros_like, tuple(start))
        return jax.lax.scan(step, (tuple(start), zeros, zeros), jnp.arange(1.0, case.steps + 2))[1]

    return run


def _gram(kernel: Any, by_output: Any) -> Any:
    """Return the inner products of a layer's gradients, sum_{x,x'} (kernel(x, x') + 1) d(x) . d'(x'), [term, term]."""
    return jnp.einsum("xz,txi,uzi->tu", kernel + 1, by_output, by_output)
