"""Pictures: data and axes in, axes out. Nothing here saves, shows, trains or changes a global setting.

matplotlib is imported when something is drawn, so that naming a figure costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.plots.bar_charts import bars
    from lab.plots.cell_maps import cell_map
    from lab.plots.contexts import CONTEXTS, STYLE_FILE, context, style
    from lab.plots.curves import curve, level, moment
    from lab.plots.heatmaps import heat_map, outline
    from lab.plots.labels import end_label, end_labels
    from lab.plots.panels import panel, power, powers_of_ten, same_limits, share_labels
    from lab.plots.phase_maps import exact_curve, phase_bar, phase_map
    from lab.plots.phases import Phases, map_over_seeds, phase_table
    from lab.plots.roles import (
        CHOSEN,
        FAMILIES,
        KINDS,
        OBJECTIVES,
        OPTIMIZERS,
        POLICIES,
        REFERENCE,
        REJECTED,
        RESPONSES,
        SCENARIO_MEANINGS,
        SCENARIO_PLACES,
        SCENARIOS,
        UNSEEN,
        Role,
        role,
    )
    from lab.plots.summaries import Summary, over_seeds, table
    from lab.plots.surfaces import arrows, path, surface

_HOMES = {
    "bar_charts": ("bars",),
    "cell_maps": ("cell_map",),
    "curves": ("curve", "level", "moment"),
    "heatmaps": ("heat_map", "outline"),
    "labels": ("end_label", "end_labels"),
    "panels": ("panel", "power", "powers_of_ten", "same_limits", "share_labels"),
    "phase_maps": ("exact_curve", "phase_bar", "phase_map"),
    "phases": ("Phases", "map_over_seeds", "phase_table"),
    "roles": (
        "CHOSEN", "FAMILIES", "KINDS", "OBJECTIVES", "OPTIMIZERS", "POLICIES", "REFERENCE", "REJECTED", "RESPONSES",
        "SCENARIOS", "SCENARIO_MEANINGS", "SCENARIO_PLACES", "UNSEEN", "Role", "role",
    ),
    "contexts": ("CONTEXTS", "STYLE_FILE", "context", "style"),
    "summaries": ("Summary", "over_seeds", "table"),
    "surfaces": ("arrows", "path", "surface"),
}  # fmt: skip
_MODULE = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "CHOSEN", "CONTEXTS", "FAMILIES", "KINDS", "OBJECTIVES", "OPTIMIZERS", "POLICIES", "REFERENCE", "REJECTED",
    "RESPONSES", "SCENARIOS", "SCENARIO_MEANINGS", "SCENARIO_PLACES", "STYLE_FILE",
    "UNSEEN", "Phases", "Role", "Summary", "arrows", "bars", "cell_map",
    "context", "curve", "end_label", "end_labels", "exact_curve", "heat_map", "level", "map_over_seeds", "moment",
    "outline", "over_seeds", "panel", "path", "phase_bar", "phase_map", "phase_table", "power", "powers_of_ten",
    "role", "same_limits", "share_labels", "style", "surface", "table",
]  # fmt: skip


def __getattr__(name: str) -> object:
    """Import a public name on first use (PEP 562)."""
    if name not in _MODULE:
        raise AttributeError(f"lab.plots has no {name!r}. It has: {', '.join(__all__)}.")
    return getattr(import_module(f"{__name__}.{_MODULE[name]}"), name)


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted(__all__)
