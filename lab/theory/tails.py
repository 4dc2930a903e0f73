"""How a push ends: the law it follows towards the far end of a ray of states, fitted to what is evaluated there."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

LAWS = ("none", "constant", "exponential", "power", "faster", "cutoff")
TINY = 1e-290  # below it a push is taken as lost to the range of float64, and the law is read off before
FAR = 1e4  # nats
_STEPS = 9
_FLAT = 0.01  # a power below it is a constant
_MISFIT = 5e-3  # of log |push|


@dataclass(frozen=True)
class Tail:
    """What becomes of a push a, a response weight, as t grows along a ray.

    Args:
        law: "none" (0 all along), "constant" (tends to `value`), "exponential" (like exp(rate t)), "power" (like
            t^rate), "faster" (than any exponential), or "cutoff" (0 from t = `rate` on, and not before).
        rate: see the law; 0 where it has none.
        value: a at the far end, with its sign; 0 where it vanishes.
        sign: of a on the way to its end, 1 or -1; 0 for "none".
    """

    law: str
    rate: float
    value: float
    sign: int

    def __post_init__(self) -> None:
        if self.law not in LAWS:
            raise ValueError(f"law is {self.law!r}; allowed are {', '.join(LAWS)}: choose one of them")

    @property
    def vanishes(self) -> bool:
        """Return whether nothing is left of the push."""
        return self.law in ("none", "cutoff") or self.rate < 0

    @property
    def grows(self) -> bool:
        """Return whether the push has no bound."""
        return self.law in ("exponential", "power", "faster") and self.rate > 0


def follow(push: Callable[[Tensor], Tensor], far: float = FAR) -> Tail:
    """Find the law of a push along a ray.

    Where log |a| = k t + p log t + const fits the last half of the ray that float64 can hold, the law is exponential
    with rate k if the exponent changes by more than 5 there, else a power p, or a constant. Where it does not fit, |a|
    changes faster than any exponential.

    Args:
        push: from t [state] to a [state]; NaN where it cannot be computed.
        far: the largest t, > 1.

    Returns:
        The tail.

    Source: own construction; tests/test_theory_tails.py.
    """
    grid = torch.logspace(0, torch.log10(torch.tensor(far, dtype=torch.float64)), 81, dtype=torch.float64)
    size = push(grid).abs()
    if not bool((size > 0).any()):
        return Tail("none", 0.0, 0.0, 0)
    # The push may be 0 at single places; what counts is the last one where it can be measured.
    last = int(torch.nonzero((size > TINY) & torch.isfinite(size)).max())
    end = float(grid[last])
    if last < len(grid) - 1:
        end, edge = _edge(push, end, float(grid[last + 1]))
        if edge > 1e-200 and float(push(torch.tensor([far], dtype=torch.float64))) == 0:
            return Tail("cutoff", end, 0.0, int(push(torch.tensor([end], dtype=torch.float64)).sign()))
    t = end * torch.linspace(0.5, 1, _STEPS, dtype=torch.float64)
    value = push(t)
    sign, height = int(value[-1].sign()), value.abs().log()
    (k, _, _), misfit = _fit([t, t.log(), torch.ones_like(t)], height)
    if misfit > _MISFIT:
        return _tail("faster", 1.0 if height[-1] > height[0] else -1.0, sign)
    if abs(k) * (end / 2) > 5:
        return _tail("exponential", k, sign)
    (p, _), _ = _fit([t.log(), torch.ones_like(t)], height)
    if abs(p) < _FLAT:
        return Tail("constant", 0.0, float(value[-1]), sign)
    return _tail("power", p, sign)


def _tail(law: str, rate: float, sign: int) -> Tail:
    return Tail(law, rate, 0.0 if rate < 0 else sign * math.inf, sign)


def _edge(push: Callable[[Tensor], Tensor], inside: float, outside: float) -> tuple[float, float]:
    """Return the last t at which the push can be measured, and its size there."""
    for _ in range(9):
        grid = torch.linspace(inside, outside, 65, dtype=torch.float64)
        size = push(grid).abs()
        held = int(torch.nonzero((size > TINY) & torch.isfinite(size)).max())
        inside, outside = float(grid[held]), float(grid[min(held + 1, 64)])
    return inside, float(push(torch.tensor([inside], dtype=torch.float64)).abs())


def _fit(columns: list[Tensor], height: Tensor) -> tuple[list[float], float]:
    matrix = torch.stack(columns, -1)
    scale = matrix.abs().amax(0)
    found = torch.linalg.lstsq(matrix / scale, height[:, None]).solution[:, 0]
    misfit = (matrix / scale @ found - height).abs().max()
    return (found / scale).tolist(), float(misfit)
