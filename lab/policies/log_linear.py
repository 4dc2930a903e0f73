"""The log-linear policy: an exponential tilt of the reference along features that prompts and responses share."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lab.policies.base import Policy, Workspace
from lab.problems import Problem
from lab.randomness import FEATURES, per_seed


def draw_features(prompts: int, responses: int, features: int, *, seeds: tuple[int, ...]) -> Tensor:
    """Draw standard-normal features of length about 1, [run, prompt, response, feature]."""
    shape = (prompts, responses, features)
    return per_seed(seeds, FEATURES, lambda g: torch.randn(*shape, generator=g, dtype=torch.float64)) / features**0.5


@dataclass(frozen=True)
class LogLinear(Policy):
    """logits(x, y) = log pi_ref(y|x) + phi(x, y) . theta, so theta = 0 is the reference exactly.

    Args:
        offset: log-probabilities of the reference, [run, prompt, response].
        features: phi, [run, prompt, response, feature].

    Raises:
        ValueError: if the two shapes do not belong together or an entry is not finite.
    """

    offset: Tensor
    features: Tensor

    def __post_init__(self) -> None:
        if self.features.ndim != 4 or self.features.shape[:3] != self.offset.shape:
            raise ValueError(
                f"features have shape {tuple(self.features.shape)} and the offset {tuple(self.offset.shape)}; "
                "allowed are [run, prompt, response, feature] and [run, prompt, response] of equal sizes"
            )
        for name, table in (("features table", self.features), ("offset", self.offset)):
            if not bool(torch.isfinite(table).all()):
                raise ValueError(f"the {name} holds NaN or infinity; all must be finite: correct it")

    @classmethod
    def drawn(cls, problem: Problem, *, features: int = 16, overlap: float | Tensor | None = 0.0) -> LogLinear:
        """Draw standard-normal features of length about 1, with a set cosine between the two responses of a pair.

        For each pair phi(rejected) = |phi(rejected)| (overlap * u + sqrt(1 - overlap^2) * v), where u is the direction
        of phi(chosen) and v that of the part of the draw orthogonal to it. A prompt's pairs are treated in order.

        Args:
            problem: gives the offset, the pairs and the seeds.
            features: number of features, at least 2.
            overlap: cosine between the pair's two feature vectors in [-1, 1]; a number or one a run, [run]; None leaves
                the features as they are drawn.

        Raises:
            ValueError: if `features` < 2 or `overlap` lies outside [-1, 1] or has another length than the runs.
        """
        if features < 2:
            raise ValueError(f"features is {features}; allowed are 2 or more, so that a cosine can be set")
        phi = draw_features(problem.prompts, problem.responses, features, seeds=problem.seeds)
        if overlap is None:
            return cls(problem.target_log_prob, phi)
        cosine = torch.as_tensor(overlap, dtype=torch.float64)
        if cosine.ndim > 1 or (cosine.ndim == 1 and len(cosine) != problem.runs):
            raise ValueError(
                f"overlap has shape {tuple(cosine.shape)} for {problem.runs} runs; give a number or one a run"
            )
        if not bool((cosine.abs() <= 1).all()):
            raise ValueError(f"overlap is {overlap}; a cosine lies between -1 and 1")
        cosine = cosine.expand(problem.runs)[:, None]
        pairs = problem.preferences
        for x, c, r in zip(pairs.prompt.tolist(), pairs.chosen.tolist(), pairs.rejected.tolist(), strict=True):
            along = torch.nn.functional.normalize(phi[:, x, c], dim=-1)
            draw = phi[:, x, r]
            across = torch.nn.functional.normalize(draw - (draw * along).sum(-1, keepdim=True) * along, dim=-1)
            turned = cosine * along + (1 - cosine**2).clamp_min(0).sqrt() * across
            phi[:, x, r] = draw.norm(dim=-1, keepdim=True) * turned
        return cls(problem.target_log_prob, phi)

    @property
    def parameter_count(self) -> int:
        """Number of parameters of one run: one for each feature."""
        return self.features.shape[-1]

    def start(self, problem: Problem) -> Tensor:
        """Return zeros, the reference, [run, parameter]."""
        return torch.zeros(problem.runs, self.parameter_count, dtype=torch.float64)

    def scorer(self, problem: Problem) -> tuple[Policy, Tensor]:
        """Return the same features without an offset, and zeros."""
        return replace(self, offset=torch.zeros_like(self.offset)), self.start(problem)

    def forward(self, parameters: Tensor, workspace: Workspace | None = None) -> tuple[Tensor, None]:
        """Return offset + phi . theta, [run, prompt, response]."""
        return self.offset + self.pushforward(parameters, None, parameters[:, None])[:, 0], None

    def pullback(
        self, parameters: Tensor, memory: None, logit_gradient: Tensor, workspace: Workspace | None = None
    ) -> Tensor:
        """Return the logit gradient times the feature matrix, [run, term, parameter]."""
        return logit_gradient.flatten(2) @ self.features.flatten(1, 2)

    def pushforward(self, parameters: Tensor, memory: None, direction: Tensor) -> Tensor:
        """Return phi . direction, [run, term, prompt, response]."""
        return (direction @ self.features.flatten(1, 2).mT).unflatten(2, self.offset.shape[1:])
