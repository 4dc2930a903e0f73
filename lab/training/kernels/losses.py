"""Losses of the margin as functions of the device: the value, and its slope in the log-ratio margin d.

Each is that of the class in `lab/objectives` that stands beside it in `LOSSES`, with the class's settings in the order
of `lab.training.planning.IN_KERNEL`. Only where a kernel is built is this module imported: it needs Triton.
"""

from __future__ import annotations

import triton
import triton.language as tl

from lab.objectives import CDPO, DPO, EXO, IPO, DiscoPOP, RobustDPO, SLiC


@triton.jit
def sigmoid(x):
    """Return s(x); at -inf the exponential is infinite and its inverse 0."""
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def log1p(x):
    """Return log(1 + x) for x >= 0: log(u) x / (u - 1) with u = 1 + x as rounded, which takes the rounding back."""
    u = 1.0 + x
    apart = u - 1.0
    return tl.where(apart == 0.0, x, tl.log(u) * (x / tl.where(apart == 0.0, 1.0, apart)))


@triton.jit
def log_sigmoid(x):
    """Return log s(x) = min(x, 0) - log(1 + exp(-|x|))."""
    return tl.minimum(x, 0.0) - log1p(tl.exp(-tl.abs(x)))


@triton.jit
def dpo_value(d, beta, other):
    """Return -log s(m) with m = beta d."""
    return -log_sigmoid(beta * d)


@triton.jit
def dpo_slope(d, beta, other):
    """Return -beta s(-m)."""
    return -beta * sigmoid(-beta * d)


@triton.jit
def ipo_value(d, beta, other):
    """Return (d - 1/(2 beta))^2."""
    error = d - 0.5 / beta
    return error * error


@triton.jit
def ipo_slope(d, beta, other):
    """Return 2 (d - 1/(2 beta))."""
    return 2.0 * (d - 0.5 / beta)


@triton.jit
def slic_value(d, beta, other):
    """Return max(0, 1 - m)."""
    return tl.maximum(1.0 - beta * d, 0.0, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def slic_slope(d, beta, other):
    """Return -beta where m < 1, else 0."""
    return tl.where(beta * d < 1.0, -beta, 0.0)


@triton.jit
def cdpo_value(d, beta, smoothing):
    """Return -(1 - e) log s(m) - e log s(-m)."""
    return -(1.0 - smoothing) * log_sigmoid(beta * d) - smoothing * log_sigmoid(-beta * d)


@triton.jit
def cdpo_slope(d, beta, smoothing):
    """Return beta [-(1 - e) s(-m) + e s(m)]."""
    return beta * (smoothing * sigmoid(beta * d) - (1.0 - smoothing) * sigmoid(-beta * d))


@triton.jit
def robust_value(d, beta, smoothing):
    """Return [-(1 - e) log s(m) + e log s(-m)] / (1 - 2 e)."""
    flipped = smoothing * log_sigmoid(-beta * d) - (1.0 - smoothing) * log_sigmoid(beta * d)
    return flipped / (1.0 - 2.0 * smoothing)


@triton.jit
def robust_slope(d, beta, smoothing):
    """Return -beta [(1 - e) s(-m) + e s(m)] / (1 - 2 e)."""
    both = (1.0 - smoothing) * sigmoid(-beta * d) + smoothing * sigmoid(beta * d)
    return -beta * both / (1.0 - 2.0 * smoothing)


@triton.jit
def exo_value(d, beta, smoothing):
    """Return s(m) [log s(m) - log(1 - e)] + s(-m) [log s(-m) - log e]."""
    m = beta * d
    right, wrong = log_sigmoid(m) - tl.log(1.0 - smoothing), log_sigmoid(-m) - tl.log(smoothing)
    return sigmoid(m) * right + sigmoid(-m) * wrong


@triton.jit
def exo_slope(d, beta, smoothing):
    """Return beta s(m) s(-m) [m - log((1 - e) / e)]."""
    m = beta * d
    return beta * sigmoid(m) * sigmoid(-m) * (m - tl.log(1.0 - smoothing) + tl.log(smoothing))


@triton.jit
def discopop_value(d, beta, tau):
    """Return (1 - w) (-log s(m)) + w exp(-m) with w = s(m / tau), the last product in one exponent."""
    m = beta * d
    return tl.exp(log_sigmoid(m / tau) - m) - sigmoid(-m / tau) * log_sigmoid(m)


@triton.jit
def discopop_slope(d, beta, tau):
    """Return beta {(1 - w) [w log s(m) + w exp(-m)] / tau - (1 - w) s(-m) - w exp(-m)}."""
    m = beta * d
    rest, weight, exponential = sigmoid(-m / tau), sigmoid(m / tau), tl.exp(log_sigmoid(m / tau) - m)
    blend = rest * (exponential + weight * log_sigmoid(m)) / tau
    return beta * (blend - rest * sigmoid(-m) - exponential)


LOSSES = {
    DPO: (dpo_value, dpo_slope),
    IPO: (ipo_value, ipo_slope),
    SLiC: (slic_value, slic_slope),
    CDPO: (cdpo_value, cdpo_slope),
    RobustDPO: (robust_value, robust_slope),
    EXO: (exo_value, exo_slope),
    DiscoPOP: (discopop_value, discopop_slope),
}
