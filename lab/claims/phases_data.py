"""Data and architecture: whether the fall comes from few pairs seen often, and where the lost mass goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab import metrics, properties
from lab.claims.claim import Claim, Data, Evidence, Side
from lab.claims.evidence import above, told, within
from lab.claims.readings import at_level, chosen

if TYPE_CHECKING:
    import xarray as xr

WORLD = "seeds=20 every=4 keep=none batch=1 spread=even"
KEPT_ADAM = f"mlp s1 dpo beta=0.1 adam lr=1e-3 steps=512 {WORLD} roles=kept"
KEPT_SGD = f"mlp s1 dpo beta=0.1 sgd lr=0.1 steps=512 {WORLD} roles=kept"
MIXED_ADAM = f"mlp s1 dpo beta=0.1 adam lr=1e-3 steps=2048 {WORLD}"
OWN_ADAM = f"{KEPT_ADAM} prompts=32 responses=66"
# Recorded states that are averaged, 16 updates of one pair each: mini-batches make noise, and noise makes peaks.
AVERAGED = 4
FALL = properties.Thresholds().degradation
MARGIN = 15.0
ELSEWHERE = "chosen elsewhere"
END = "steps=500 seeds=20 every=5 keep=none"
RUN = f"adam lr=1e-3 {END}"


def seen_once(data: Data) -> tuple[Evidence, ...]:
    """Ask for the fall after as many updates of one pair as there are pairs."""
    ds = data["dpo"]
    pairs = ds.sizes["pair"]
    margin = metrics.over_pairs(metrics.log_ratio_margin(ds), ds).sel(step=pairs, drop=True)
    return (
        above("chosen mass lost from its peak, each pair seen once", _fall(ds).sel(step=pairs, drop=True), FALL),
        told("log-ratio margin by then", margin, units="nats", style=".1f"),
    )


def same_updates(data: Data) -> tuple[Evidence, ...]:
    """Compare with how many updates the fall begins, seed by seed."""
    first = {name: properties.crossing(_fall(ds), FALL) for name, ds in data.items()}
    return (
        within("updates until the fall, 256 pairs over 8 pairs", first["256"] / first["8"], 1, 0.5, style=".2f"),
        told("updates until the fall, 8 pairs", first["8"], style=".0f"),
        told("updates until the fall, 256 pairs", first["256"], style=".0f"),
    )


def agreement(data: Data) -> tuple[Evidence, ...]:
    """Compare at equal margin how far the chosen response fell with roles kept and mixed."""
    falls = {
        name: at_level(_fall(ds), metrics.over_pairs(metrics.log_ratio_margin(ds), ds), MARGIN)
        for name, ds in data.items()
    }
    return (
        above(f"chosen mass lost at {MARGIN:g} nats, roles kept minus mixed", falls["kept"] - falls["mixed"], FALL),
        told("roles mixed", falls["mixed"]),
    )


def goes_elsewhere(data: Data) -> tuple[Evidence, ...]:
    """Ask for the share of the gained mass that responses chosen elsewhere took since the peak."""
    ds = data["dpo"]
    share = metrics.gained_share_by_kind(ds, since=properties.turning_point(chosen(ds))).sel(kind=ELSEWHERE, drop=True)
    number = (metrics.response_kind(ds) == ELSEWHERE).sum() / metrics.unseen_mask(ds).sum()
    turned = share.dropna("seed")
    return (
        above("share of the gained mass that goes to responses chosen elsewhere", turned, 0.95),
        told("the same beyond their share by number", turned - float(number)),
    )


def _fall(ds: xr.Dataset) -> xr.DataArray:
    return metrics.below_peak(metrics.running_mean(chosen(ds), AVERAGED))


CLAIMS = (
    Claim(
        "seen_once_and_fallen",
        "No artefact of many epochs: the chosen response falls with each pair seen once.",
        method=f"After one epoch of one pair a step the chosen mass, averaged over 16 updates, is to lie {FALL:g} "
        "below its peak. With ten responses and roles kept there are five kinds of pair, each on many prompts.",
        lines={"dpo": f"{KEPT_ADAM} prompts=256"},
        examine=seen_once,
        here={
            "optimiser": "Adam",
            "pairs": "256 pairs that agree",
        },
        sides=(
            Side("optimiser", "plain SGD", {"dpo": f"{KEPT_SGD} prompts=256"}),
            Side("pairs", "64 pairs that contradict each other", {"dpo": f"{MIXED_ADAM} prompts=64"}),
            Side("pairs", "32 pairs with responses of their own", {"dpo": OWN_ADAM}),
        ),
    ),
    Claim(
        "updates_not_epochs",
        "How many updates pass before the fall hardly depends on how many pairs share them.",
        method=f"The first update at which the chosen mass lies {FALL:g} below its peak; 256 pairs may take half as "
        "many to one and a half times as many as 8, although each is seen 32 times less often.",
        lines={"8": f"{KEPT_ADAM} prompts=8", "256": f"{KEPT_ADAM} prompts=256"},
        examine=same_updates,
    ),
    Claim(
        "contradicting_prompts_keep_it_up",
        "Where prompts contradict each other, the chosen response keeps more mass at equal margin.",
        method=f"At a log-ratio margin of {MARGIN:g} nats the fall with roles kept is to exceed that with roles mixed "
        f"by {FALL:g}, seed by seed.",
        lines={"kept": f"{KEPT_ADAM} prompts=64", "mixed": f"{MIXED_ADAM} prompts=64"},
        examine=agreement,
        here={"pairs": "64 pairs"},
        sides=(
            Side("pairs", "32 pairs", {"kept": f"{KEPT_ADAM} prompts=32", "mixed": f"{MIXED_ADAM} prompts=32"}),
            Side("pairs", "8 pairs", {"kept": f"{KEPT_ADAM} prompts=8", "mixed": f"{MIXED_ADAM} prompts=8"}),
        ),
    ),
    Claim(
        "mass_goes_to_what_others_choose",
        "The mass that the chosen response loses goes to responses that other prompts choose.",
        method="Since the chosen response's peak they are to take 0.95 of all that unseen responses gain; seeds whose "
        "chosen response did not turn are left out.",
        lines={"dpo": f"mlp s1 dpo beta=0.1 {RUN} responses=40"},
        examine=goes_elsewhere,
        here={"policy": "an MLP", "prompts": "four prompts", "width": "64 units", "objective": "DPO"},
        sides=(
            Side(
                "policy", "a log-linear policy", {"dpo": f"loglinear s1 dpo beta=0.1 adam lr=0.05 {END} responses=40"}
            ),
            Side("prompts", "two prompts", {"dpo": f"mlp s1 dpo beta=0.1 {RUN} prompts=2"}),
            Side(
                "prompts",
                "16 prompts with responses of their own",
                {"dpo": f"mlp s1 dpo beta=0.1 {RUN} prompts=16 responses=34 spread=even"},
            ),
            Side("width", "16 units", {"dpo": f"mlp s1 dpo beta=0.1 {RUN} width=16,128"}, {"width": 16}),
            Side("width", "128 units", {"dpo": f"mlp s1 dpo beta=0.1 {RUN} width=16,128"}, {"width": 128}),
            Side("objective", "IPO with β = 0.005", {"dpo": f"mlp s1 ipo beta=0.005 {RUN}"}),
            Side("objective", "SLiC with β = 0.005", {"dpo": f"mlp s1 slic beta=0.005 {RUN}"}),
        ),
    ),
)
