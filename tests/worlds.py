"""The small worlds, policies and objectives that the tests of the compute rooms run through."""

from __future__ import annotations

import torch

import lab

RUNS, PROMPTS, RESPONSES = 3, 3, 6
BETAS = torch.tensor([0.05, 0.3, 1.2], dtype=torch.float64)
OTHERS = torch.tensor([0.4, 0.02, 0.9], dtype=torch.float64)


def preferences() -> lab.Preferences:
    """Unequal weights; a chosen response in two pairs, one that is chosen here and rejected there, a bare prompt."""
    return lab.Preferences([0, 0, 2, 2, 2], [1, 1, 0, 3, 5], [2, 4, 3, 1, 2], [1.0, 0.5, 2.0, 0.7, 0.3])


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    """Standard-normal numbers, float64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def problem(runs: int = RUNS, pairs: lab.Preferences | None = None, seed: int = 0) -> lab.Problem:
    """A reference distribution drawn for each run."""
    target = draw(runs, PROMPTS, RESPONSES, seed=seed).log_softmax(-1)
    return lab.Problem(pairs or preferences(), target, tuple(range(5, 5 + runs)))


POLICIES = ("tabular", "loglinear", "mlp-relu", "mlp-tanh")


def policy(name: str, world: lab.Problem):
    """A policy of that name for a world."""
    if name == "tabular":
        return lab.Tabular(PROMPTS, RESPONSES)
    if name == "loglinear":
        return lab.LogLinear.drawn(
            world, features=5, overlap=torch.linspace(-0.5, 0.9, world.runs, dtype=torch.float64)
        )
    return lab.MLP(PROMPTS, RESPONSES, 4, name.removeprefix("mlp-"))


def state(name: str, world: lab.Problem, scale: float = 1.0, seed: int = 1) -> torch.Tensor:
    """Random parameters [run, parameter]."""
    return scale * draw(world.runs, policy(name, world).parameter_count, seed=seed)


# Numbers and one value a run, alone and in sums; every objective of the lab is here.
OBJECTIVES: dict[str, object] = {
    "dpo": lab.DPO(0.1),
    "dpo per run": lab.DPO(BETAS),
    "flex": lab.FlexDPO(0.1, 0.04),
    "flex per run": lab.FlexDPO(BETAS, OTHERS),
    "flex half per run": lab.FlexDPO(0.2, OTHERS),
    "ipo": lab.IPO(0.1),
    "ipo per run": lab.IPO(BETAS),
    "slic": lab.SLiC(0.5),
    "slic per run": lab.SLiC(BETAS),
    "sft": lab.SFT(),
    "dpo + sft": lab.WeightedSum((lab.DPO(0.1), lab.SFT()), (1.0, 0.3)),
    "sum per run": lab.WeightedSum((lab.IPO(BETAS), lab.SFT(), lab.SLiC(OTHERS)), (OTHERS, 0.0, 2.0)),
}
