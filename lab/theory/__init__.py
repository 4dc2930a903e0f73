"""The theory beside the measurement: what an objective pushes, and where a step moves every response."""

from lab.theory.attribution import Attribution, attribute
from lab.theory.catalogue import formula
from lab.theory.fields import Flow, flow
from lab.theory.formulas import Formula, written
from lab.theory.influence import Influence, influence
from lab.theory.limits import FAMILIES, Limits, limits
from lab.theory.sentences import sentences
from lab.theory.states import fit_exactly, place_pairs

__all__ = [
    "FAMILIES", "Attribution", "Flow", "Formula", "Influence", "Limits", "attribute", "fit_exactly", "flow", "formula",
    "influence", "limits", "place_pairs", "sentences", "written",
]  # fmt: skip
