"""What decides whether the chosen response falls: shared parameters, the optimiser, the room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab import metrics
from lab.claims.claim import Claim, Data, Evidence, Side
from lab.claims.evidence import above, has, told
from lab.claims.lines import ALL_EVEN, FEATURES, FEATURES_SGD, MOMENTUM, S1, SGD, TABLE, TANH
from lab.claims.readings import at_level, chosen, chosen_lost

if TYPE_CHECKING:
    import xarray as xr

NARROW = "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=2000 seeds=24 every=20 width=16"
TANH_SGD = "mlp s1 dpo beta=0.1 sgd lr=5 steps=1000 seeds=24 every=10 activation=tanh"
TANH_MOMENTUM = "mlp s1 dpo beta=0.1 momentum lr=0.5 steps=1000 seeds=24 every=10 activation=tanh"
# Losses that every run compared at them reaches.
LOSS, FEATURES_LOSS = 0.005, 0.05


def optimiser_decides(data: Data) -> tuple[Evidence, ...]:
    """Ask each optimiser for the fall, and compare the chosen mass at equal loss, seed by seed."""
    at_loss = {name: at_level(chosen(ds), metrics.total_loss(ds), LOSS, falling=True) for name, ds in data.items()}
    others = {"sgd": "plain SGD", "momentum": "momentum"}
    return (
        *(
            above(f"chosen mass at loss {LOSS:g}, {words} minus Adam", at_loss[name] - at_loss["adam"], 0.01)
            for name, words in others.items()
        ),
        has(data["adam"], "degradation", of="Adam"),
        *(has(data[name], "degradation", of=words, not_=True) for name, words in others.items()),
    )


def room(data: Data) -> tuple[Evidence, ...]:
    """Compare policies with much and with little room at equal loss, seed by seed."""
    kept = {
        name: at_level(
            chosen(ds), metrics.total_loss(ds), FEATURES_LOSS if "features" in ds.dims else LOSS, falling=True
        )
        for name, ds in data.items()
    }
    of_mlp, of_features = f"chosen mass at loss {LOSS:g}", f"chosen mass at loss {FEATURES_LOSS:g}"
    return (
        above(f"{of_mlp}, Adam, 128 minus 16 units", kept["128, Adam"] - kept["16, Adam"], 0.01),
        above(f"{of_mlp}, plain SGD, 64 minus 16 units", kept["64, SGD"] - kept["16, SGD"], 0.01),
        above(f"{of_features}, Adam, 128 minus 16 features", _more(kept["features, Adam"]), 0.01),
        above(f"{of_features}, plain SGD, 128 minus 16 features", _more(kept["features, SGD"]), 0.01),
    )


def _more(values: xr.DataArray) -> xr.DataArray:
    return values.sel(features=128, drop=True) - values.sel(features=16, drop=True)


def shared_parameters(data: Data) -> tuple[Evidence, ...]:
    """Ask each policy for the fall of the chosen response."""
    return (
        has(data["mlp"], "degradation", of="MLP"),
        has(data["features"].sel(features=16), "degradation", of="16 log-linear features"),
        has(data["table"], "degradation", of="table", not_=True),
        told("MLP with one prompt: chosen mass lost from its peak", chosen_lost(data["one prompt"])),
    )


CLAIMS = (
    Claim(
        "fall_needs_shared_parameters",
        "The chosen response falls only where responses share parameters.",
        method="Under Adam, degradation (0.01) is to be present in the MLP and with log-linear features, absent in a "
        "table.",
        lines={"mlp": S1, "features": FEATURES, "table": TABLE, "one prompt": f"{S1} every=5 prompts=1"},
        examine=shared_parameters,
    ),
    Claim(
        "optimiser_decides",
        "In the MLP the optimiser decides whether the chosen response falls, at equal loss.",
        method=f"Degradation (0.01) is to be present under Adam, absent under plain SGD and momentum; at loss {LOSS:g} "
        "these are to hold at least 0.01 more chosen mass, seed by seed.",
        lines={"adam": S1, "sgd": SGD, "momentum": MOMENTUM},
        examine=optimiser_decides,
        pick={"scenario": "s1"},
        here={"activation": "ReLU", "width": "64 units", "spread": "drawn spread"},
        sides=(
            Side("activation", "tanh", {"adam": TANH, "sgd": TANH_SGD, "momentum": TANH_MOMENTUM}),
            Side(
                "width",
                "16 units",
                {"adam": NARROW, "sgd": f"{SGD} width=16", "momentum": f"{MOMENTUM} width=16"},
            ),
            Side(
                "spread",
                "even spread",
                {"adam": ALL_EVEN, "sgd": f"{SGD} spread=even", "momentum": f"{MOMENTUM} spread=even"},
            ),
        ),
    ),
    Claim(
        "little_room_makes_the_fall",
        "The less room prompts share, the deeper the chosen response falls, whatever the optimiser.",
        method="At equal loss the larger policy is to hold at least 0.01 more chosen mass, seed by seed.",
        lines={
            "16, Adam": NARROW,
            "128, Adam": f"{S1} every=5 width=128",
            "16, SGD": f"{SGD} width=16",
            "64, SGD": SGD,
            "features, Adam": FEATURES,
            "features, SGD": FEATURES_SGD,
        },
        examine=room,
    ),
)
