"""What the scoreboard shows beyond single objectives: which kinds of them keep the chosen response, and when to ask."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import xarray as xr

from lab import properties
from lab.claims.claim import Claim, Data, Evidence, Side
from lab.claims.evidence import above, below, has, told
from lab.claims.readings import chosen_lost
from lab.scoreboard.entries import ENTRIES, Entry
from lab.scoreboard.settings import PROGRESS, SETTINGS, Setting

MLP, MLP_SGD, FEATURES, _, TABLE, TABLE_SGD = SETTINGS
BY_NAME = {entry.name: entry for entry in ENTRIES}
# One of each group that are the same in this world.
OWN = tuple(each for each in ENTRIES if each.lifts and each.name not in ("tpo", "sft_token", "apo_unpaired"))
# Losses of one margin whose pull never ends.
ENDLESS = tuple(BY_NAME[name] for name in ("dpo", "robust", "aot", "simpo", "cpo_pure"))
NEAR_TARGET, FAR_TARGET = ("ipo", "slic"), ("cdpo", "exo")
KL = PROGRESS[2]


def lines(entries: Iterable[Entry], setting: Setting) -> dict[str, str]:
    """Write the lines of several objectives in a setting, by name."""
    return {each.name: setting.line(each) for each in entries}


def own_push(data: Data) -> tuple[Evidence, ...]:
    """Take the largest loss of chosen mass over objectives and scenarios, seed by seed."""
    worst = _joined(data, chosen_lost).max(["objective", "scenario"])
    return (
        below(f"chosen mass lost, the most of {len(data)} objectives and four scenarios", worst, 0.01),
        told("the most at any step", _joined(data, _deepest).max(["objective", "scenario"])),
    )


def endless_pull(data: Data) -> tuple[Evidence, ...]:
    """Take the smallest loss of chosen mass over objectives, seed by seed."""
    least = _joined(data, chosen_lost).sel(scenario="s1", drop=True).min("objective")
    return (above(f"chosen mass lost in s1, the least of {len(data)} objectives", least, 0.01),)


def near_target(data: Data) -> tuple[Evidence, ...]:
    """Ask near and far targets for the fall."""
    return (
        *(has(data[name], "degradation", not_=True, of=BY_NAME[name].label) for name in NEAR_TARGET),
        *(has(data[name], "degradation", of=BY_NAME[name].label) for name in FAR_TARGET),
    )


def early_dispersion(data: Data) -> tuple[Evidence, ...]:
    """Ask for dispersion early and at the end."""
    ds = data["dpo"]
    gained = properties.by_seed_at(ds, [KL])["value"].sel(property="dispersion", drop=True).isel(horizon=0, drop=True)
    return (
        above(f"unseen mass gained from its minimum, at {KL}", gained, 0.01),
        has(ds, "dispersion", not_=True, of="at the end"),
    )


def _deepest(ds: xr.Dataset) -> xr.DataArray:
    fall = properties.by_step(ds, threshold=properties.Thresholds().drop)["value"]
    return fall.sel(property="degradation", drop=True).max("step")


def _joined(data: Data, read: Callable[[xr.Dataset], xr.DataArray]) -> xr.DataArray:
    names = xr.DataArray(list(data), dims="objective", name="objective")
    return xr.concat([read(ds) for ds in data.values()], names)


CLAIMS = (
    Claim(
        "own_push_keeps_the_chosen",
        "In a network, objectives that push the chosen response by itself keep it.",
        method="A push of its own is still there, 1 nat below the reference, once the rejected response is let go. The "
        "largest loss of chosen mass, over objectives and scenarios, is to stay below 0.01.",
        lines=lines(OWN, MLP),
        examine=own_push,
        here={"optimiser": "Adam", "policy": "an MLP"},
        sides=(
            Side("optimiser", "plain SGD", lines(OWN, MLP_SGD)),
            Side("policy", "16 log-linear features", lines(OWN, FEATURES)),
        ),
    ),
    Claim(
        "endless_pull_loses_the_chosen",
        "In a network under Adam an endless pull on the margin loses the chosen response.",
        method="The smallest loss of chosen mass in s1, over DPO, Robust DPO, AOT, SimPO and CPO without its NLL, is "
        "to be above 0.01.",
        lines=lines(ENDLESS, MLP),
        examine=endless_pull,
        here={"optimiser": "Adam", "policy": "an MLP"},
        sides=(
            Side("optimiser", "plain SGD", lines(ENDLESS, MLP_SGD)),
            Side("policy", "16 log-linear features", lines(ENDLESS, FEATURES)),
            Side("policy", "a table", lines(ENDLESS, TABLE)),
        ),
    ),
    Claim(
        "a_far_target_does_not_keep_the_chosen",
        "A target of 5 or 10 nats keeps the chosen response, one of 22 not.",
        method="cDPO and EXO aim at 22 nats, IPO at 5, SLiC at 10. Degradation (0.01) is to be present for the former, "
        "absent for the latter.",
        lines=lines([BY_NAME[name] for name in (*NEAR_TARGET, *FAR_TARGET)], MLP),
        examine=near_target,
        pick={"scenario": "s1"},
        here={"scenario": "s1", "optimiser": "Adam"},
        sides=(
            Side("scenario", "s3", pick={"scenario": "s3"}),
            Side("optimiser", "plain SGD", lines([BY_NAME[name] for name in (*NEAR_TARGET, *FAR_TARGET)], MLP_SGD)),
        ),
    ),
    Claim(
        "early_dispersion_passes",
        "Where the chosen response starts unlikely, a table disperses early and recovers.",
        method=f"In s2 the unseen mass is to have grown by 0.01 at {KL}, and dispersion to be absent at the end.",
        lines=lines([BY_NAME["dpo"]], TABLE_SGD),
        examine=early_dispersion,
        pick={"scenario": "s2"},
        here={"optimiser": "plain SGD", "policy": "a table"},
        sides=(
            Side("optimiser", "Adam", lines([BY_NAME["dpo"]], TABLE)),
            Side("policy", "an MLP under Adam", lines([BY_NAME["dpo"]], MLP)),
        ),
    ),
)
