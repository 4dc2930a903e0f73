"""Tables in JAX, tuned by hand: closed form, runs innermost in memory, recordings in the layout in which they arise.

Two ways: every logit is advanced and everything is recorded inside the scan ("dense"); or only what moves is advanced,
one number a pair, and the recordings are derived behind the scan ("reduced"), which is the lab's own algorithm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.nn import log_sigmoid, logsumexp

from benchmarks.race.cases import Case, World
from benchmarks.race.jax_natural import B1, B2, EPS


def dense(case: Case, world: World) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return the training of runs that stand last, and its arguments, each [..., run].

    The responses are relabelled: chosen ones first, rejected ones behind them, so that no index is looked up.

    Args:
        case: The case.
        world: What the runs start from.
    """
    each = _each(case)

    def train(start: Any, beta: Any, lr: Any) -> Any:
        def of(logits: Any) -> tuple[Any, Any]:  # logits are [response, prompt, run]
            log_prob = logits - logsumexp(logits, 0)
            return log_prob[:each], log_prob[each : 2 * each]

        reference_up, reference_down = of(start)

        def step(carry: Any, number: Any) -> Any:
            logits, memory = carry
            total = logsumexp(logits, 0)
            up, down = logits[:each] - total, logits[each : 2 * each] - total
            margin = beta * (up - reference_up - down + reference_down)
            push = beta * jax.nn.sigmoid(-margin)
            prob = jnp.exp(logits - total)
            kept = _kept(case, up, down, logsumexp(logits[2 * each :], 0) - total, margin, beta, (prob**2).sum(0))
            # What pulls up and what pulls down cancel in a prompt: the other responses stay where they are.
            gradient = jnp.concatenate([-push, push, jnp.zeros_like(logits[2 * each :])]) / case.sizes[2]
            change, memory = _change(case, gradient, memory, number)
            return (logits - lr * change, memory), kept

        return jax.lax.scan(step, (start, _memory(case, start)), jnp.arange(1.0, case.steps + 2))[1]

    return train, (_relabelled(case, world), world.beta, world.lr)


def reduced(case: Case, world: World) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return the same training that advances one number a pair, how far its chosen logit has moved.

    Args:
        case: The case.
        world: What the runs start from.
    """
    each = _each(case)

    def train(start: Any, beta: Any, lr: Any) -> Any:
        def step(carry: Any, number: Any) -> Any:
            moved, memory = carry
            gradient = -beta * jax.nn.sigmoid(-2 * beta * moved) / case.sizes[2]
            change, memory = _change(case, gradient, memory, number)
            return (moved - lr * change, memory), moved

        zero = jnp.zeros_like(start[:each])
        tape = jax.lax.scan(step, (zero, _memory(case, zero)), jnp.arange(1.0, case.steps + 2))[1]
        rest, squares = logsumexp(start[2 * each :], 0), logsumexp(2 * start[2 * each :], 0)

        def derive(moved: Any) -> Any:
            up, down = start[:each] + moved, start[each : 2 * each] - moved
            named = jnp.concatenate([up, down])
            top = jnp.maximum(named.max(0), rest)
            total = jnp.log(jnp.exp(named - top).sum(0) + jnp.exp(rest - top)) + top
            up, down = up - total, down - total
            square = (jnp.exp(2 * (named - total))).sum(0) + jnp.exp(squares - 2 * total)
            return _kept(case, up, down, rest - total, 2 * beta * moved, beta, square)

        return jax.lax.map(derive, tape)

    return train, (_relabelled(case, world), world.beta, world.lr)


def sample(case: Case, found: dict[str, Any], runs: np.ndarray) -> dict[str, np.ndarray]:
    """Take the recordings of some runs and lay them out as the other peers do.

    Args:
        case: The case.
        found: Recordings, [step, ..., pair of the prompt, prompt, run].
        runs: Which runs.
    """
    some = {name: np.moveaxis(np.asarray(values[..., runs]), -1, 0) for name, values in found.items()}
    for name in ("chosen", "rejected", "pair_gradient"):  # pairs stand in the order of their prompts
        values = np.swapaxes(some[name], -1, -2)
        some[name] = values.reshape(*values.shape[:-2], -1)
    return some


def _each(case: Case) -> int:
    prompts, _, pairs = case.sizes
    return pairs // prompts


def _relabelled(case: Case, world: World) -> np.ndarray:
    """Return the logits [response, prompt, run], first the chosen responses, then the rejected ones, then the rest."""
    prompts, responses, _ = case.sizes
    order = []
    for x in range(prompts):
        named = [*world.chosen[world.prompt == x], *world.rejected[world.prompt == x]]
        order.append([*named, *sorted(set(range(responses)) - set(named))])
    start = np.take_along_axis(world.start[0], np.array(order)[None], -1)
    return np.ascontiguousarray(start.transpose(2, 1, 0))


def _kept(case: Case, up: Any, down: Any, unseen: Any, margin: Any, beta: Any, squares: Any) -> dict[str, Any]:
    """Record, with the squared norm of A - pi sum A written out: sum A^2 - 2 sum A sum A pi + (sum A)^2 sum pi^2."""
    push = beta * jax.nn.sigmoid(-margin)
    norms = []
    for log_prob in (up, down):
        prob, total = jnp.exp(log_prob), push.sum(0)
        norms.append((push**2).sum(0) - 2 * total * (push * prob).sum(0) + total**2 * squares)
    log_push = jnp.log(beta) + log_sigmoid(-margin)
    return {
        "chosen": up,
        "rejected": down,
        "unseen": unseen,
        "pair_gradient": jnp.stack([log_push - up, log_push - down]),
        "logit_norm": 0.5 * jnp.log(jnp.stack([norm.sum(0) for norm in norms])) - jnp.log(case.sizes[2]),
    }


def _memory(case: Case, like: Any) -> tuple[Any, ...]:
    return (jnp.zeros_like(like), jnp.zeros_like(like)) if case.optimizer == "adam" else ()


def _change(case: Case, gradient: Any, memory: tuple[Any, ...], number: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the change for a learning rate of -1, and the memory behind it."""
    if case.optimizer == "sgd":
        return gradient, ()
    mean, square = B1 * memory[0] + (1 - B1) * gradient, B2 * memory[1] + (1 - B2) * gradient**2
    return mean / (1 - B1**number) / (jnp.sqrt(square / (1 - B2**number)) + EPS), (mean, square)
