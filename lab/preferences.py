"""Preference pairs: which response of which prompt is chosen over which other, and with what weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Preferences:
    """A weighted list of pairs (prompt, chosen, rejected), shared by all runs.

    The data-set loss of an objective with pair losses l_p is L = sum_p w_p l_p, with the weights normalised to
    sum to 1 here, so that equal weights mean the average over pairs.

    Args:
        prompt: prompt of each pair, [pair] integers from 0.
        chosen: chosen response of each pair, [pair] integers from 0.
        rejected: rejected response of each pair, [pair] integers from 0.
        weight: non-negative weight of each pair, [pair], or of each run's pairs, [run, pair], where runs have data of
            their own; None means equal weights.

    Raises:
        ValueError: for an empty list, unequal lengths, chosen equal to rejected, negative indices, or weights that
            are not finite, negative or all zero.
    """

    prompt: Tensor
    chosen: Tensor
    rejected: Tensor
    weight: Tensor

    def __init__(
        self,
        prompt: Sequence[int] | Tensor,
        chosen: Sequence[int] | Tensor,
        rejected: Sequence[int] | Tensor,
        weight: Sequence[float] | Sequence[Sequence[float]] | Tensor | None = None,
    ) -> None:
        prompt, chosen, rejected = (_indices(values) for values in (prompt, chosen, rejected))
        weight = torch.as_tensor([1.0] * len(prompt) if weight is None else weight, dtype=torch.float64, device="cpu")
        _check(prompt, chosen, rejected, weight)
        for name, value in (("prompt", prompt), ("chosen", chosen), ("rejected", rejected)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "weight", weight / weight.sum(-1, keepdim=True))

    def __len__(self) -> int:
        return len(self.prompt)

    def of_runs(self, rows: slice) -> Preferences:
        """Return the pairs of some of the runs: themselves where all runs share their weights."""
        return (
            self if self.weight.ndim == 1 else Preferences(self.prompt, self.chosen, self.rejected, self.weight[rows])
        )

    def of_terms(self, like: Tensor) -> Tensor:
        """Return the weights twice, for the chosen and for the rejected responses, [2 * pair] or [run, 2 * pair]."""
        weight = self.weight.to(like)
        return torch.cat((weight, weight), -1)

    def check_within(self, prompts: int, responses: int) -> None:
        """Raise ValueError unless every pair names a prompt below `prompts` and responses below `responses`."""
        for name, values, size in (
            ("prompt", self.prompt, prompts),
            ("chosen", self.chosen, responses),
            ("rejected", self.rejected, responses),
        ):
            for pair, value in enumerate(values.tolist()):
                if value >= size:
                    kind = "prompts" if name == "prompt" else "responses"
                    raise ValueError(
                        f"pair {pair} has {name}={value}, out of range: the problem has {size} {kind}, "
                        f"allowed are 0 to {size - 1}; correct the pair or enlarge the problem"
                    )

    def flat(self, responses: int) -> Tensor:
        """Return where the pairs stand in a flat [prompt * response] table: chosen, then rejected ones, [2 * pair]."""
        return torch.cat([self.prompt * responses + self.chosen, self.prompt * responses + self.rejected])

    def unseen(self, prompts: int, responses: int) -> Tensor:
        """Return the mask of responses that no pair of the prompt names, [prompt, response] booleans."""
        mask = torch.ones(prompts * responses, dtype=torch.bool)
        mask[self.flat(responses)] = False
        return mask.view(prompts, responses)

    @classmethod
    def grid(cls, prompts: int, responses: int, pairs: int = 1, *, roles: str = "mixed") -> Preferences:
        """Lay out `pairs` disjoint pairs for each prompt, shifted from prompt to prompt.

        Slot k of prompt x is response (x + k * stride) mod responses with stride = responses // (2 * pairs); even
        slots are chosen, odd slots rejected. In the paper's world (4 prompts, 10 responses, 1 pair) prompt x prefers
        response x to response x + 5, so no response is chosen for one prompt and rejected for another.

        From prompt `stride` on the shift carries the chosen responses into what other prompts reject: their roles are
        mixed. With kept roles it starts anew there, prompt x is laid out like prompt x mod stride, and a response that
        one prompt chooses no prompt rejects.

        Args:
            prompts: number of prompts.
            responses: number of responses of every prompt.
            pairs: pairs of a prompt.
            roles: "mixed" or "kept"; the same layout for up to `stride` prompts.

        Raises:
            ValueError: if a prompt has fewer than 2 * pairs responses, or roles is another word.
        """
        if roles not in ("mixed", "kept"):
            raise ValueError(f"roles is {roles!r}; allowed are 'mixed' and 'kept'")
        if pairs < 1 or prompts < 1 or 2 * pairs > responses:
            raise ValueError(
                f"{pairs} pairs for each of {prompts} prompts with {responses} responses; every pair needs two "
                "responses of its own: raise responses to at least 2 * pairs or lower pairs (at least 1)"
            )
        stride = responses // (2 * pairs)
        shift = [x % stride if roles == "kept" else x for x in range(prompts)]
        cells = [(x, (shift[x] + 2 * k * stride) % responses, (shift[x] + (2 * k + 1) * stride) % responses)
                 for x in range(prompts) for k in range(pairs)]  # fmt: skip
        prompt, chosen, rejected = zip(*cells, strict=True)
        return cls(prompt, chosen, rejected)


def _indices(values: Sequence[int] | Tensor) -> Tensor:
    tensor = torch.as_tensor(values).to(device="cpu")
    if tensor.numel() and tensor.is_floating_point():
        raise ValueError(f"pair members are {tensor.dtype} numbers; allowed are integers; give indices from 0")
    return tensor.reshape(-1).to(torch.int64)


def _check(prompt: Tensor, chosen: Tensor, rejected: Tensor, weight: Tensor) -> None:
    if len(prompt) == 0:
        raise ValueError(
            "the list of pairs is empty; an objective needs at least one pair: give prompt, chosen and rejected"
        )
    if weight.ndim not in (1, 2):
        raise ValueError(
            f"pair weights have shape {tuple(weight.shape)}; give one number a pair, [pair] or [run, pair]"
        )
    lengths = {"prompt": len(prompt), "chosen": len(chosen), "rejected": len(rejected), "weight": weight.shape[-1]}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"pair lists have lengths {lengths}; all must have one entry a pair: make them equally long")
    for pair, (x, c, r) in enumerate(zip(prompt.tolist(), chosen.tolist(), rejected.tolist(), strict=True)):
        if c == r:
            raise ValueError(
                f"pair {pair} has chosen equal to rejected (response {c} of prompt {x}); a preference needs two "
                "different responses: change one of them or drop the pair"
            )
        if min(x, c, r) < 0:
            raise ValueError(f"pair {pair} is ({x}, {c}, {r}); indices count from 0: give non-negative ones")
    if not bool(torch.isfinite(weight).all()) or bool((weight < 0).any() | (weight.sum(-1) <= 0).any()):
        raise ValueError(f"pair weights are {_some(weight)}; allowed are finite numbers >= 0, not all 0: correct them")


def _some(weight: Tensor) -> str:
    """Show the weights of the first run that has a wrong one."""
    rows = weight.reshape(-1, weight.shape[-1])
    wrong = ~torch.isfinite(rows).all(-1) | (rows < 0).any(-1) | (rows.sum(-1) <= 0)
    shown = rows[wrong][0].tolist()
    return f"{shown[:20]}{' and more' if len(shown) > 20 else ''}"
