"""Fixed roles: one colour and one line style for each thing that a picture shows, the same in every picture.

Colours are told apart under deuteranopia, protanopia and tritanopia and stand out on white; the line style tells
them apart in print. tests/test_plots.py measures both.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True)
class Role:
    """How one thing is drawn, everywhere.

    Args:
        label: The word that stands at its line.
        color: Colour as #rrggbb.
        line: Line style: solid, dashed, dotted or dashdot.
        width: Line width as a share of the style's.
        marker: Marker of its points.
    """

    label: str
    color: str
    line: str = "solid"
    width: float = 1.0
    marker: str = "o"

    def __post_init__(self) -> None:
        if self.line not in ("solid", "dashed", "dotted", "dashdot"):
            raise ValueError(
                f"line is '{self.line}'; the line styles are solid, dashed, dotted and dashdot. Choose one of them."
            )


CHOSEN = Role("chosen", "#0072B2", "solid", marker="o")
REJECTED = Role("rejected", "#D55E00", "dashed", marker="s")
UNSEEN = Role("unseen", "#000000", "dotted", marker="^")
REFERENCE = Role("reference", "#8A8A8A", "solid", width=0.5, marker=".")

# The three kinds of response that share a panel, and the reference that may stand beside them.
RESPONSES: dict[str, Role] = {"chosen": CHOSEN, "rejected": REJECTED, "unseen": UNSEEN}

# The three kinds of unseen response, apart: what another prompt's pair makes of it.
KINDS: dict[str, Role] = {
    "chosen elsewhere": Role("chosen elsewhere", "#450F5C", "dashdot", marker="D"),
    "rejected elsewhere": Role("rejected elsewhere", "#CC7018", "dashed", marker="s"),
    "never named": Role("never named", "#838383", "dotted", marker="^"),
}

OBJECTIVES: dict[str, Role] = {
    "dpo": Role("DPO", "#2700EB", "solid", marker="o"),
    "flex": Role("Flex-DPO", "#7A0000", "dashed", marker="s"),
    "ipo": Role("IPO", "#2F9E9A", "dashdot", marker="D"),
    "slic": Role("SLiC", "#D87614", "dotted", marker="^"),
    "sft": Role("SFT", "#140027", "solid", marker="v"),
}

OPTIMIZERS: dict[str, Role] = {
    "sgd": Role("SGD", "#32A046", "solid", marker="o"),
    "momentum": Role("momentum", "#B070E0", "dashed", marker="s"),
    "adam": Role("Adam", "#4B002D", "dashdot", marker="D"),
}

# A two by two: hue says where the chosen response comes from, lightness where the rejected one does.
SCENARIOS: dict[str, Role] = {
    "s1": Role("s1", "#001E69", "solid", marker="o"),
    "s2": Role("s2", "#3C1E00", "dashed", marker="s"),
    "s3": Role("s3", "#7585F5", "dashdot", marker="D"),
    "s4": Role("s4", "#B4873C", "dotted", marker="^"),
}

# Columns: where the chosen response comes from. Rows: where the rejected one does.
SCENARIO_PLACES = {"s1": (0, 0), "s2": (0, 1), "s3": (1, 0), "s4": (1, 1)}
SCENARIO_MEANINGS = {
    "s1": "both on-policy",
    "s2": "chosen off-policy",
    "s3": "rejected off-policy",
    "s4": "both off-policy",
}

POLICIES: dict[str, Role] = {
    "tabular": Role("tabular", "#C8781E", "dotted", marker="^"),
    "loglinear": Role("log-linear", "#35938F", "dashed", marker="s"),
    "mlp": Role("MLP", "#3B0A57", "solid", marker="o"),
}

FAMILIES: dict[str, dict[str, Role]] = {
    "responses": {**RESPONSES, "reference": REFERENCE},
    "kinds": KINDS,
    "objectives": OBJECTIVES,
    "optimizers": OPTIMIZERS,
    "scenarios": SCENARIOS,
    "policies": POLICIES,
}


def role(name: str) -> Role:
    """Look up the role of a word of the experiment line, or of a kind of response.

    Args:
        name: For example "chosen", "dpo", "adam", "s1" or "mlp".

    Returns:
        Its fixed colour and line.

    Raises:
        ValueError: If nothing has that name; the nearest one is named.
    """
    for family in FAMILIES.values():
        if name in family:
            return family[name]
    names = [word for family in FAMILIES.values() for word in family]
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise ValueError(f"nothing called '{name}' has a fixed role.{hint} Roles: {', '.join(names)}.")
