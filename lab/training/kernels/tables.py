"""The kernel: tables under a loss of the margin, a run's state in registers from the first step to the last.

Only what is recorded is ever written. Runs stand last in every array, so that the 32 threads of a warp write 32
neighbours; the pairs of a run stand above each other in one thread, as long as the block is as wide as its threads
(`launching.block`): what is summed over pairs and prompts then never leaves the thread.
Only where the kernel is launched is this module imported: it needs Triton.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["runs"])
def advance(
    moves, loss, response_weight,  # the tape: [row, pair, run] twice, [row, term, pair, run]
    chosen, rejected, unseen, pair_gradient, logit_norm,  # the recordings: two as moves, [row, prompt, run] and so on
    start_chosen, start_rejected, rest, ratio,  # of the tables at step 0: [pair, run] twice, [prompt, run] twice
    order, weight, settings, decays, schedule,  # [place], [pair, run], [setting, run], [3], [step, 2]
    runs, pairs, prompts, each, steps, every,
    VALUE: tl.constexpr, SLOPE: tl.constexpr, RULE: tl.constexpr, TAPE: tl.constexpr,
    PROMPTS: tl.constexpr, EACH: tl.constexpr, RUNS: tl.constexpr,
):  # fmt: skip
    """Take a block of runs through all steps; every tile is [prompt, pair of the prompt, run]."""
    run = tl.program_id(0) * RUNS + tl.arange(0, RUNS)[None, None, :]
    prompt = tl.program_id(1) * PROMPTS + tl.arange(0, PROMPTS)[:, None, None]
    which = tl.arange(0, EACH)[None, :, None]
    there = (prompt < prompts) & (which < each)
    pair = tl.load(order + prompt * each + which, mask=there, other=0)
    here, per_prompt = there & (run < runs), (prompt < prompts) & (run < runs)
    of_pair, of_prompt = pair * runs + run, prompt * runs + run
    a_run = settings + run
    beta, other = tl.load(a_run, mask=run < runs, other=1.0), tl.load(a_run + runs, mask=run < runs, other=0.25)
    rate = tl.load(a_run + 2 * runs, mask=run < runs, other=0.0)
    extra = tl.load(a_run + 3 * runs, mask=run < runs, other=1.0)  # Momentum's decay, Adam's eps
    share = tl.load(weight + of_pair, mask=here, other=0.0)
    moved = tl.zeros_like(share)
    mean, square = moved, moved
    if RULE == "adam":
        keep_mean, keep_square, add_square = tl.load(decays), tl.load(decays + 1), tl.load(decays + 2)
    if not TAPE:
        up = tl.load(start_chosen + of_pair, mask=here, other=float("-inf"))
        down = tl.load(start_rejected + of_pair, mask=here, other=float("-inf"))
        still = tl.load(rest + of_prompt, mask=per_prompt, other=0.0)
        length = tl.load(ratio + of_prompt, mask=per_prompt, other=0.0)
    for step in range(steps + 1):
        push = SLOPE(moved, beta, other)
        if (step % every == 0) | (step == steps):
            row = ((step + every - 1) // every).to(tl.int64)  # a recording may hold more than 2^31 numbers
            if TAPE:
                at = row * pairs * runs + of_pair
                tl.store(moves + at, moved, mask=here)
                tl.store(loss + at, VALUE(moved, beta, other), mask=here)
                at += row * pairs * runs
                tl.store(response_weight + at, push, mask=here)
                tl.store(response_weight + at + pairs * runs, -push, mask=here)
            else:
                log_chosen, log_rejected, log_unseen, norms = observe(
                    up + 0.5 * moved, down - 0.5 * moved, still, length, share * push, EACH
                )
                at = row * pairs * runs + of_pair
                tl.store(chosen + at, log_chosen, mask=here)
                tl.store(rejected + at, log_rejected, mask=here)
                size = tl.log(tl.abs(push))
                at += row * pairs * runs
                tl.store(pair_gradient + at, size - log_chosen, mask=here)
                tl.store(pair_gradient + at + pairs * runs, size - log_rejected, mask=here)
                tl.store(unseen + row * prompts * runs + of_prompt, log_unseen, mask=per_prompt)
                tl.store(logit_norm + row * 2 * runs + run, norms[0], mask=run < runs)
                tl.store(logit_norm + row * 2 * runs + runs + run, norms[1], mask=run < runs)
        gradient = share * push
        if RULE == "sgd":
            change = gradient
        elif RULE == "momentum":
            mean = mean * extra + gradient
            change = mean
        else:
            mean += keep_mean * (gradient - mean)
            square = square * keep_square + add_square * gradient * gradient
            now = schedule + 2 * step
            change = tl.load(now) * mean / (tl.sqrt(square) + extra * tl.load(now + 1))
        # Of a pair the chosen logit moves up and the rejected one down: the margin twice as far.
        moved -= 2.0 * rate * change


@triton.jit
def observe(up, down, still, ratio, push, EACH: tl.constexpr):
    """Return log pi of chosen and rejected responses and of the unseen mass, and both terms' log norms.

    Args:
        up: logits of the chosen responses, [prompt, pair, run].
        down: logits of the rejected responses.
        still: the log-sum of those of the unseen responses, [prompt, 1, run].
        ratio: (sum of pi^2)^(1/2) / sum of pi, over the unseen responses.
        push: d loss / d log pi(chosen), times the pair's weight.
        EACH: pairs of a prompt.
    """
    top = tl.maximum(tl.max(tl.maximum(up, down), 1, keep_dims=True), still)
    up, down, still = up - top, down - top, still - top
    a, b, u = tl.exp(up), tl.exp(down), tl.exp(still)
    # The likeliest responses are summed apart: 1 - pi is then a sum too, and never a difference that cancels.
    top_a, top_b, top_u = tl.where(up == 0.0, a, 0.0), tl.where(down == 0.0, b, 0.0), tl.where(still == 0.0, u, 0.0)
    low_a, low_b, low_u = tl.where(up == 0.0, 0.0, a), tl.where(down == 0.0, 0.0, b), tl.where(still == 0.0, 0.0, u)
    tops = tl.sum(top_a + top_b, 1, keep_dims=True) + top_u
    below = tl.sum(low_a + low_b, 1, keep_dims=True) + low_u
    not_a, not_b = (below - low_a) + (tops - top_a), (below - low_b) + (tops - top_b)
    inverse, total = 1.0 / (below + tops), tl.log(below + tops)
    sum_of_others = others(push, EACH)
    every = tl.sum(push, 1, keep_dims=True) * inverse
    push, sum_of_others = push * inverse, sum_of_others * inverse
    far = every * u * ratio
    of_chosen = log_norm(push * not_a - a * sum_of_others, every * b, far)
    of_rejected = log_norm(push * not_b - b * sum_of_others, every * a, far)
    return up - total, down - total, still - total, (of_chosen, of_rejected)


@triton.jit
def others(push, EACH: tl.constexpr):
    """Return the sum of the other pairs' pushes in the prompt; the own one taken off the total would cancel."""
    if EACH == 1:
        return tl.zeros_like(push)
    else:
        which = tl.arange(0, EACH)
        apart = which[None, :, None, None] != which[None, None, :, None]
        return tl.sum(tl.where(apart, push[:, None, :, :], 0.0), 2)


@triton.jit
def log_norm(own, cross, far):
    """Return log (sum own^2 + cross^2 + far^2)^(1/2) over pairs and prompts, [1, 1, run].

    Divided before by a power of 2 near the largest, so that no square over- or underflows. It is read off the number's
    bits, in the integer units, which idle beside float64 arithmetic.
    """
    largest = tl.max(tl.maximum(tl.abs(own), tl.abs(cross)), 1, keep_dims=True)
    largest = tl.max(tl.maximum(largest, tl.abs(far)), 0, keep_dims=True)
    if own.dtype == tl.float64:
        exponent = (largest.to(tl.int64, bitcast=True) >> 52) & 0x7FF
        exponent = tl.minimum(tl.maximum(exponent, 1), 2045)
        scale = ((2046 - exponent) << 52).to(tl.float64, bitcast=True)
        power = (exponent - 1023).to(tl.float64)
    else:
        exponent = (largest.to(tl.int32, bitcast=True) >> 23) & 0xFF
        exponent = tl.minimum(tl.maximum(exponent, 1), 253)
        scale = ((254 - exponent) << 23).to(tl.float32, bitcast=True)
        power = (exponent - 127).to(tl.float32)
    own, cross, far = own * scale, cross * scale, far * scale
    squares = tl.sum(tl.sum(own * own + cross * cross, 1, keep_dims=True) + far * far, 0, keep_dims=True)
    return power * 0.6931471805599453 + 0.5 * tl.log(squares)
