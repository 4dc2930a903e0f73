"""JAX as its users write it: `jit(vmap(scan))`, the loss by `jax.grad`, everything recorded inside the scan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.nn import log_sigmoid, log_softmax

from benchmarks.race.cases import Case, World

B1, B2, EPS = 0.9, 0.999, 1e-8
# The objectives whose loss is a line or three, of the log-ratios and log-probabilities of a pair.
LOSSES: Mapping[str, Callable[..., Any]] = {
    "dpo": lambda beta, u, v, up, down: -log_sigmoid(beta * (u - v)),
    "ipo": lambda beta, u, v, up, down: (u - v - 1 / (2 * beta)) ** 2,
    "slic": lambda beta, u, v, up, down: jax.nn.relu(1 - beta * (u - v)),
    "sft": lambda beta, u, v, up, down: -up,
    "sppo": lambda beta, u, v, up, down: (u - 0.5 / beta) ** 2 + (v + 0.5 / beta) ** 2,
    "nca": lambda beta, u, v, up, down: (
        -log_sigmoid(beta * u) - 0.5 * log_sigmoid(-beta * u) - 0.5 * log_sigmoid(-beta * v)
    ),
    "apo_zero": lambda beta, u, v, up, down: 1 - jax.nn.sigmoid(beta * u) + jax.nn.sigmoid(beta * v),
    "apo_down": lambda beta, u, v, up, down: jax.nn.sigmoid(beta * u) + 1 - jax.nn.sigmoid(beta * (u - v)),
}


def prepare(case: Case, world: World) -> tuple[Callable[[], Any], Callable[[Any, np.ndarray], dict[str, np.ndarray]]]:
    """Compile what trains all runs, and return it with what takes the recordings of some runs from its result.

    Args:
        case: The case; its objective is one of `LOSSES`.
        world: What the runs start from.
    """
    jax.config.update("jax_enable_x64", True)
    given = (tuple(jnp.asarray(part) for part in world.start), jnp.asarray(world.beta), jnp.asarray(world.lr))
    compiled = jax.jit(jax.vmap(_one_run(case, world))).lower(*given).compile()

    def train() -> Any:
        return jax.block_until_ready(compiled(*given))

    def sample(found: Any, runs: np.ndarray) -> dict[str, np.ndarray]:
        return {name: np.asarray(values[runs]) for name, values in found.items()}

    return train, sample


def _one_run(case: Case, world: World) -> Callable[..., Any]:
    prompts, responses, pairs = case.sizes
    prompt, chosen, rejected = (jnp.asarray(each) for each in (world.prompt, world.chosen, world.rejected))
    unseen = np.ones((prompts, responses), bool)
    unseen[world.prompt, world.chosen] = unseen[world.prompt, world.rejected] = False

    def logits_of(parameters: tuple[Any, ...]) -> Any:
        if case.workload != "B":
            return parameters[0]
        w1, b1, w2, b2, w3, b3 = parameters
        return jnp.tanh(jnp.tanh(w1 + b1) @ w2 + b2) @ w3 + b3

    def run(start: tuple[Any, ...], beta: Any, lr: Any) -> Any:
        reference = log_softmax(logits_of(start))
        reference_up, reference_down = reference[prompt, chosen], reference[prompt, rejected]

        def loss(up: Any, down: Any) -> Any:
            return LOSSES[case.objective](beta, up - reference_up, down - reference_down, up, down).mean()

        def step(carry: Any, number: Any) -> Any:
            parameters, mean, square = carry
            logits, back = jax.vjp(logits_of, parameters)
            log_prob = log_softmax(logits)
            up, down = log_prob[prompt, chosen], log_prob[prompt, rejected]
            pushes = jax.grad(loss, (0, 1))(up, down)
            tables = [jnp.zeros_like(logits).at[prompt, place].add(push)
                      for place, push in zip((chosen, rejected), pushes, strict=True)]  # fmt: skip
            by_logit = [table - jnp.exp(log_prob) * table.sum(-1, keepdims=True) for table in tables]
            kept = {
                "chosen": up,
                "rejected": down,
                "unseen": jax.nn.logsumexp(jnp.where(unseen, log_prob, -jnp.inf), -1),
                "pair_gradient": jnp.log(jnp.abs(jnp.stack(pushes)) * pairs) - jnp.stack([up, down]),
                "logit_norm": jnp.stack([jnp.log(jnp.linalg.norm(each)) for each in by_logit]),
            }
            if case.workload == "B":
                terms = [back(each)[0] for each in by_logit]
                gradient = jax.tree.map(jnp.add, *terms)
                one, other = (jnp.concatenate([part.ravel() for part in term]) for term in terms)
                norms = jnp.stack([jnp.linalg.norm(one), jnp.linalg.norm(other)])
                kept |= {"parameter_norm": jnp.log(norms), "parameter_cosine": one @ other / norms.prod()}
            else:
                gradient = (by_logit[0] + by_logit[1],)
            if case.optimizer == "adam":
                mean = jax.tree.map(lambda m, g: B1 * m + (1 - B1) * g, mean, gradient)
                square = jax.tree.map(lambda v, g: B2 * v + (1 - B2) * g * g, square, gradient)
                change = jax.tree.map(
                    lambda m, v: m / (1 - B1**number) / (jnp.sqrt(v / (1 - B2**number)) + EPS), mean, square
                )
            else:
                change = gradient
            parameters = jax.tree.map(lambda theta, by: theta - lr * by, parameters, change)
            return (parameters, mean, square), kept

        zeros = jax.tree.map(jnp.zeros_like, start)
        memory = (zeros, zeros) if case.optimizer == "adam" else ((), ())
        return jax.lax.scan(step, (start, *memory), jnp.arange(1.0, case.steps + 2))[1]

    return run
