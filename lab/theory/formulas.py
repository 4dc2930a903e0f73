"""Formulas that are kept once, as text: read by people, evaluated by the machine, checked against the objectives."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass

import torch
from torch import Tensor

from lab.objectives import WPO, Objective, PairLogProbs
from lab.objectives.base import per_run
from lab.objectives.coupled import at_same_rank
from lab.objectives.supervised import mean_length

# What a formula may speak of besides the settings of its objective, and what that is.
SYMBOLS: Mapping[str, str] = {
    "u": "log π(chosen) - log π_ref(chosen)",
    "v": "log π(rejected) - log π_ref(rejected)",
    "c": "log π(chosen)",
    "r": "log π(rejected)",
    "c_ref": "log π_ref(chosen)",
    "r_ref": "log π_ref(rejected)",
    "C": "tokens of the chosen response",
    "R": "tokens of the rejected response",
    "mean_C": "mean over the pairs of |chosen|",
    "z0": "max(0, KL(π ‖ π_ref)), without a gradient",
    "W": "π(chosen) π(rejected) / (Σ_y π(y)²)², without a gradient",
    "chosen_is_gold": "1 where the chosen response is the gold one, as here, else 0",
}


def _score(average: Tensor, alpha: float | Tensor) -> Tensor:
    alpha = torch.as_tensor(alpha, dtype=average.dtype)
    bent = -torch.expm1(-alpha * average) / torch.where(alpha == 0, torch.ones_like(alpha), alpha)
    return torch.where(alpha == 0, average, bent)


FUNCTIONS: Mapping[str, tuple[str, Callable[..., Tensor]]] = {
    "s": ("1 / (1 + exp(-x)) of x, the logistic function", torch.sigmoid),
    "log_s": ("", torch.nn.functional.logsigmoid),
    "exp": ("", torch.exp),
    "log": ("", lambda x: torch.log(torch.as_tensor(x, dtype=torch.float64))),
    "abs": ("", torch.abs),
    "max": ("", lambda x, y: torch.maximum(_t(x), _t(y))),
    "min": ("", lambda x, y: torch.minimum(_t(x), _t(y))),
    "score": ("(1 - exp(-α a)) / α of a and α, and a where α = 0", _score),
    "same_rank": (
        "of two values a, b of each pair: the a that stands among all a where this pair's b stands among all b",
        at_same_rank,
    ),
}
_WRITTEN = {
    "beta": "β", "beta_chosen": "β⁺", "beta_rejected": "β⁻", "alpha": "α", "gamma": "γ", "tau": "τ", "smoothing": "e",
    "s": "σ", "log_s": "log σ", "C": "|chosen|", "R": "|rejected|", "mean_C": "mean |chosen|",
}  # fmt: skip


def _t(value: float | Tensor) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float64)


@dataclass(frozen=True)
class Formula:
    """The loss of a pair and its two pushes, as text in Python's syntax.

    Args:
        loss: the loss of a pair.
        chosen: a⁺ = d loss / d log pi(chosen); below 0 the response is pushed up.
        rejected: a⁻ = d loss / d log pi(rejected); above 0 the response is pushed down.
        where: abbreviations with their meaning, in order; each may use those before it.

    Raises:
        ValueError: if an abbreviation has the name of a symbol.
    """

    loss: str
    chosen: str
    rejected: str
    where: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for name, _ in self.where:
            if name in SYMBOLS or name in FUNCTIONS:
                raise ValueError(f"'{name}' stands for something else in formulas; abbreviate with another letter")

    @property
    def used(self) -> frozenset[str]:
        """Return every name that the formula uses, but its own abbreviations."""
        texts = (self.loss, self.chosen, self.rejected, *(meaning for _, meaning in self.where))
        nodes = [node for text in texts for node in ast.walk(ast.parse(text, mode="eval"))]
        names = {node.id for node in nodes if isinstance(node, ast.Name)}
        return frozenset(names - {name for name, _ in self.where})

    def evaluate(self, objective: Objective, pairs: PairLogProbs) -> tuple[Tensor, Tensor, Tensor]:
        """Return loss, a⁺ and a⁻, each [run, ..., pair], of an objective's settings at some log-probabilities.

        Raises:
            ValueError: if the formula uses a name that is neither a symbol nor a setting of the objective, or the
                pairs lack what it reads.
        """
        names = self._values(objective, pairs)
        for name, meaning in self.where:
            names[name] = _value(meaning, names)
        like = torch.zeros_like(pairs.chosen + pairs.rejected)
        loss, chosen, rejected = (_value(text, names) + like for text in (self.loss, self.chosen, self.rejected))
        return loss, chosen, rejected

    def _values(self, objective: Objective, pairs: PairLogProbs) -> dict[str, object]:
        inner = objective.objective if isinstance(objective, WPO) else objective
        settings: list[str] = [field.name for field in fields(inner)] if is_dataclass(inner) else []
        names: dict[str, object] = {}
        for name in self.used:
            if name in FUNCTIONS:
                names[name] = FUNCTIONS[name][1]
            elif name in SYMBOLS:
                names[name] = _symbol(name, pairs)
            elif name in settings:
                names[name] = per_run(getattr(inner, name), pairs.chosen)
            else:
                raise ValueError(
                    f"the formula uses '{name}', which {type(inner).__name__} has no setting for; it has "
                    f"{', '.join(settings) or 'none'}, and the symbols are {', '.join(SYMBOLS)}"
                )
        return names


def written(text: str) -> str:
    """Write a formula as it is read: β σ(-m) for beta * s(-m)."""
    text = re.sub(r"\b[A-Za-z_]\w*\b", lambda found: _WRITTEN.get(found[0], found[0]), text)
    text = re.sub(r"\(((?:[^()]|\([^()]*\))+ <=? [^()]+)\)", r"[\1]", text)
    return text.replace("**2", "²").replace(" * ", " ").replace("<=", "≤")


def _symbol(name: str, pairs: PairLogProbs) -> object:
    match name:
        case "u":
            return pairs.chosen_log_ratio
        case "v":
            return pairs.rejected_log_ratio
        case "c":
            return pairs.chosen
        case "r":
            return pairs.rejected
        case "c_ref":
            return pairs.reference_chosen
        case "r_ref":
            return pairs.reference_rejected
        case "C":
            return pairs.chosen_length
        case "R":
            return pairs.rejected_length
        case "mean_C":
            return mean_length(pairs.chosen_length)
        case "chosen_is_gold":
            return float(pairs.gold is None)
        case "z0" if pairs.kl is not None:
            return pairs.kl.detach().clamp(min=0)
        case "W" if pairs.chosen_confidence is not None and pairs.rejected_confidence is not None:
            return torch.exp(pairs.chosen_confidence.detach() + pairs.rejected_confidence.detach())
    lacking = {"z0": "kl", "W": "chosen_confidence and rejected_confidence"}[name]
    raise ValueError(f"the formula reads {name}, and these pairs lack it; give PairLogProbs {lacking}")


class _Indicators(ast.NodeTransformer):
    """Makes 1 and 0 in full precision of comparisons: a float times a truth value would be a float32."""

    def visit_Compare(self, node: ast.Compare) -> ast.AST:  # noqa: N802
        """Wrap a comparison."""
        return ast.copy_location(ast.Call(ast.Name("indicator", ast.Load()), [node], []), node)


def _value(text: str, names: Mapping[str, object]) -> Tensor:
    tree = ast.fix_missing_locations(_Indicators().visit(ast.parse(text, mode="eval")))
    scope = {"__builtins__": {}, "indicator": lambda truth: truth.to(torch.float64), **names}
    return eval(compile(tree, "<formula>", "eval"), scope)
