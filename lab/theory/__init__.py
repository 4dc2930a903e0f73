"""The theory beside the measurement: what an objective pushes, and where a step moves every response."""

from lab.theory.attribution import Attribution, attribute
from lab.theory.fields import Flow, flow
from lab.theory.influence import Influence, influence
from lab.theory.states import fit_exactly, place_pairs

__all__ = ["Attribution", "Flow", "Influence", "attribute", "fit_exactly", "flow", "influence", "place_pairs"]
