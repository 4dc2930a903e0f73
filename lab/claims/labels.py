"""What the number of labels of a comparison does to how sure a learned reward becomes."""

from __future__ import annotations

from functools import partial

from lab import metrics
from lab.claims.claim import Claim, Data, Evidence, Side
from lab.claims.evidence import above, told

DATA = "truth=normal data=sampled"
ONCE, OFTEN, MANY = (f"{DATA} {words}" for words in
                     ("comparisons=16 repeats=1", "comparisons=16 repeats=8", "comparisons=128 repeats=1"))  # fmt: skip
TABLE = "tabular open rm sgd lr=10 steps=2000 seeds=24 every=20 keep=none"
NETWORK = "mlp open rm adam lr=1e-3 steps=1000 seeds=24 every=10 keep=none"


def grows_too_sure(data: Data, couples: str = "compared") -> tuple[Evidence, ...]:
    """Ask what calibration is lost from its best step on, and how far the learned rewards are then spread."""
    ds = data["model"]
    error = metrics.calibration_error(ds, couples)
    learned, true = (each.std("response").mean("prompt") for each in (metrics.implicit_rewards(ds), ds["reward"]))
    return (
        above("error of the predicted preference gained since its least", error.isel(step=-1, drop=True) -
              error.min("step"), 0.05),
        above("spread of the learned rewards at the end over that of the true ones",
              learned.isel(step=-1, drop=True) / true, 2, style=".2f"),
        told("least error of the predicted preference", error.min("step")),
    )  # fmt: skip


CLAIMS = (
    Claim(
        "single_labels_grow_too_sure",
        "A reward model grows too sure of comparisons that were labelled once.",
        method="A single label names one response the better one for certain. Distance of the predicted from the true "
        "probability that one response beats another, on couples in the data: it is to end more than 0.05 above its "
        "least over the steps, and the learned rewards of a prompt to spread more than twice as far as the true ones.",
        lines={"model": f"{TABLE} {ONCE}"},
        examine=grows_too_sure,
        here={
            "labels": "16 comparisons with one label each",
            "couples": "couples in the data",
            "policy": "a table",
            "method": "a reward model",
        },
        sides=(
            Side("labels", "eight labels each", {"model": f"{TABLE} {OFTEN}"}),
            Side("labels", "eight labels each with an MLP", {"model": f"{NETWORK} {OFTEN}"}),
            Side("labels", "128 comparisons with one label each", {"model": f"{TABLE} {MANY}"}),
            Side("couples", "couples not in the data", examine=partial(grows_too_sure, couples="not compared")),
            Side("policy", "an MLP", {"model": f"{NETWORK} {ONCE}"}),
            Side("method", "DPO of an MLP", {"model": f"{NETWORK.replace(' rm', ' dpo beta=0.1')} {ONCE}"}),
        ),
    ),
)
