"""The scene of the RLHF optimum: one prompt, its reference and its reward, tilted by beta."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from lab import plots
from lab.experiments.grammar import write_value
from lab.explorer.scene import Control, Picture, View
from lab.explorer.sheets import Frame, Sheet, draw_bars, draw_outlines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lab.optima import Optimum

BETAS = tuple(float(f"{digit}e{power}") for power in (-2, -1, 0) for digit in (1, 1.3, 1.8, 2.5, 3.2, 5, 7)) + (10.0,)
REWARDS = tuple(0.25 * quarter for quarter in range(-12, 13))
FRONTIER = np.geomspace(0.005, 200, 240)
COLOR = "#8E3A8C"


@dataclass(frozen=True)
class Tilt:
    """A reference, a reward, and the price of leaving the one for the other.

    Args:
        reference: probabilities of the responses, above 0, summing to 1.
        reward: their rewards.
        beta: the weight of KL, above 0.

    Raises:
        ValueError: for lengths that differ, probabilities that are none, a reward that is not finite, or beta <= 0.
    """

    reference: tuple[float, ...]
    reward: tuple[float, ...]
    beta: float

    def __post_init__(self) -> None:
        if len(self.reference) != len(self.reward) or len(self.reference) < 2:
            raise ValueError(
                f"{len(self.reference)} probabilities and {len(self.reward)} rewards are given; give one of each for "
                "every response, two at least"
            )
        if not min(self.reference) > 0 or abs(sum(self.reference) - 1) > 1e-9:
            raise ValueError(f"the reference is {self.reference}; its probabilities are above 0 and sum to 1")
        if not np.isfinite(self.reward).all() or not (np.isfinite(self.beta) and self.beta > 0):
            raise ValueError(
                f"the reward is {self.reward} and beta {self.beta}; give finite rewards and a beta above 0"
            )


class OptimumScene:
    """What beta makes of a reference and a reward, exactly."""

    name = "optimum"

    def __init__(self, responses: int) -> None:
        self._rewards = tuple(f"reward_{response}" for response in range(responses))

    def keys(self) -> tuple[str, ...]:
        """List every key that a control may have."""
        return ("beta", *self._rewards)

    def controls(self, state: Tilt) -> tuple[Control, ...]:
        """List a slider for beta and one for the reward of each response."""
        about = "the price of a nat of KL from the reference"
        sliders = [_slider("beta", "β", "price", BETAS, state.beta, about)]
        for response, (key, value) in enumerate(zip(self._rewards, state.reward, strict=True)):
            sliders.append(_slider(key, f"reward of {response}", "rewards", REWARDS, value, "what it earns"))
        return tuple(sliders)

    def change(self, state: Tilt, key: str, value: str) -> Tilt:
        """Return the state after a slider was moved.

        Raises:
            ValueError: for a key that there is not, or a value that is no number or not allowed.
        """
        if key not in self.keys():
            raise ValueError(f"there is no control '{key}'; the controls are {', '.join(self.keys())}")
        try:
            number = float(value)
        except ValueError:
            raise ValueError(f"{key} is '{value}', which is no number; give one") from None
        if key == "beta":
            return replace(state, beta=number)
        place = self._rewards.index(key)
        return replace(state, reward=(*state.reward[:place], number, *state.reward[place + 1 :]))

    def show(self, state: Tilt) -> View:
        """Draw the optimum beside its reference, and where it stands on the frontier."""
        found = _optima(state.reference, state.reward, (state.beta,))
        prob = found.log_prob.exp().numpy()[0, 0, 0]
        earned, kl, best = float(found.reward), float(found.kl), int(np.argmax(state.reward))
        base = float(np.dot(state.reference, state.reward))
        summary = (
            f"β = {write_value(state.beta)}: expected reward {earned:.3f} (reference {base:.3f}), KL {kl:.3f} nats, "
            f"best response {prob[best]:.3f} (reference {state.reference[best]:.3f})"
        )
        bars = ", ".join(
            f"{response} from {start:.3f} to {now:.3f}"
            for response, (start, now) in enumerate(zip(state.reference, prob, strict=True))
        )
        return View(
            pictures=(
                Picture("tilt", _draw_tilt(state), f"Probability of each response, reference to optimum: {bars}."),
                Picture(
                    "frontier",
                    _draw_frontier(state),
                    f"The frontier of expected reward over KL, from {base:.3f} at the reference to at most "
                    f"{max(state.reward):.3f}; the optimum of this β stands at KL {kl:.3f} and reward {earned:.3f}, "
                    "where the slope is β.",
                ),
            ),
            summary=summary,
            header=("response", "reward", "reference", "optimum", "factor"),
            rows=tuple(
                (str(place), f"{reward:g}", f"{start:.4f}", f"{now:.4f}", f"{now / start:.3g}")
                for place, (reward, start, now) in enumerate(zip(state.reward, state.reference, prob, strict=True))
            ),
            numbers={"beta": state.beta, "reward": earned, "kl": kl, "best": float(prob[best])},
        )


def _slider(key: str, label: str, group: str, stops: Sequence[float], value: float, about: str) -> Control:
    choices = tuple(write_value(float(stop)) for stop in sorted({*stops, value}))
    return Control(key, label, "slider", write_value(float(value)), choices, (), group, about, live=True)


@lru_cache(maxsize=256)
def _optima(reference: tuple[float, ...], reward: tuple[float, ...], betas: tuple[float, ...]) -> Optimum:
    import torch

    from lab.optima import optimum

    log_reference = torch.tensor(reference, dtype=torch.float64).log()[None, None]
    rewards = torch.tensor(reward, dtype=torch.float64)[None, None]
    return optimum(log_reference, rewards, torch.tensor(betas, dtype=torch.float64))


@lru_cache(maxsize=1)
def _sheet() -> Sheet:
    return Sheet()


@lru_cache(maxsize=256)
def _draw_tilt(state: Tilt) -> bytes:
    names = tuple(str(response) for response in range(len(state.reference)))
    frame = Frame(
        "Reference and optimum", (-0.6, len(names) - 0.4), (0.0, 1.02), "grey outline: the reference",
        xlabel="response", ylabel="probability", names=names,
    )  # fmt: skip
    prob = _optima(state.reference, state.reward, (state.beta,)).log_prob.exp().numpy()[0, 0, 0]

    def draw(ax: Axes) -> None:
        draw_bars(ax, prob, 0.0, [COLOR] * len(prob))
        draw_outlines(ax, np.array(state.reference), 0.0)
        for place, (reward, now, start) in enumerate(zip(state.reward, prob, state.reference, strict=True)):
            ax.annotate(f"{reward:+g}".replace("-", "−"), (place, max(now, start)), (0, 3), textcoords="offset points",
                        ha="center", fontsize="small", color="#555555")  # fmt: skip

    return _sheet().png(frame, draw)


@lru_cache(maxsize=256)
def _draw_frontier(state: Tilt) -> bytes:
    line = _optima(state.reference, state.reward, tuple(FRONTIER))
    here = _optima(state.reference, state.reward, (state.beta,))
    kl, earned = line.kl.numpy()[0, :, 0], line.reward.numpy()[0, :, 0]
    low, high = float(earned.min()), max(state.reward)
    room = 0.08 * (high - low) or 0.1
    frame = Frame(
        "The frontier", (0.0, 1.05 * float(kl.max()) or 1.0), (low - room, high + room),
        "no policy stands above the line; its slope is β", xlabel="KL from the reference (nats)",
        ylabel="expected reward",
    )  # fmt: skip

    def draw(ax: Axes) -> None:
        ax.plot(kl, earned, color="#000000", linewidth=1.2)
        ax.plot(float(here.kl), float(here.reward), "o", color=COLOR, markersize=8)
        plots.level(high, ax, label="best")

    return _sheet().png(frame, draw)
