"""The experiment lines that several claims share, most of them with the figures."""

from __future__ import annotations

from lab.claims.claim import Side

ADAM = "adam lr=1e-3 steps=500 seeds=24"
S1 = f"mlp s1 dpo beta=0.1 {ADAM}"
ALL = f"mlp s1,s2,s3,s4 dpo beta=0.1 {ADAM}"
ALL_IPO = f"mlp s1,s2,s3,s4 ipo beta=0.1 {ADAM}"
ALL_SLIC = f"mlp s1,s2,s3,s4 slic beta=0.1 {ADAM}"
# Every fifth step is enough where a claim looks at the ends.
ALL_EVEN = f"{ALL} every=5 spread=even"
ALL_TANH = f"{ALL} every=5 activation=tanh"
SGD = "mlp s1 dpo beta=0.1 sgd lr=0.5 steps=2000 seeds=24 every=10"
MOMENTUM = "mlp s1 dpo beta=0.1 momentum lr=0.1 steps=1000 seeds=24 every=10"
TABLE = "tabular s1 dpo beta=0.1 adam lr=0.3 steps=500 seeds=24"
# Another activation or policy gets the steps and the rate to come to a low loss as well.
TANH = "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=4000 seeds=24 every=40 activation=tanh"
FEATURES = "loglinear s1 dpo beta=0.1 adam lr=0.05 steps=1000 seeds=24 every=10 features=16,128"
FEATURES_SGD = "loglinear s1 dpo beta=0.1 sgd lr=5 steps=2000 seeds=24 every=10 features=16,128"

# Where the three properties of s1 are looked for besides: what the record `dpo` is there.
HERE = {
    "optimiser": "Adam",
    "activation": "ReLU",
    "policy": "an MLP",
    "prompts": "four prompts",
    "scenario": "s1",
    "spread": "drawn spread",
    "width": "64 units",
    "β": "β = 0.1",
    "learning rate": "learning rate 1e-3",
    "horizon": "500 steps",
    "batch": "full batch",
}
S1_ELSEWHERE = (
    Side("optimiser", "momentum", {"dpo": MOMENTUM}),
    Side("optimiser", "plain SGD", {"dpo": SGD}),
    Side("optimiser", "plain SGD with 16 units", {"dpo": f"{SGD} width=16"}),
    Side("activation", "tanh", {"dpo": TANH}),
    Side("activation", "tanh with 16 units", {"dpo": f"{TANH} width=16"}),
    Side("policy", "16 log-linear features", {"dpo": FEATURES}, {"features": 16}),
    Side("policy", "128 log-linear features", {"dpo": FEATURES}, {"features": 128}),
    Side("policy", "a table", {"dpo": TABLE}),
    Side("prompts", "two prompts", {"dpo": f"{S1} every=5 prompts=2"}),
    Side("prompts", "one prompt", {"dpo": f"{S1} every=5 prompts=1"}),
    Side("spread", "even spread", {"dpo": ALL_EVEN}),
    Side("width", "16 units", {"dpo": f"{S1} every=5 width=16"}),
    Side("width", "128 units", {"dpo": f"{S1} every=5 width=128"}),
    Side("β", "β = 0.5", {"dpo": f"mlp s1 dpo beta=0.5 {ADAM} every=5"}),
    Side(
        "learning rate", "learning rate 3e-4", {"dpo": "mlp s1 dpo beta=0.1 adam lr=3e-4 steps=1500 seeds=24 every=10"}
    ),
    Side("horizon", "2000 steps", {"dpo": "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=2000 seeds=24 every=20"}),
    Side("batch", "one pair a step", {"dpo": f"{S1} every=5 batch=1"}),
)
OTHER_SCENARIOS = tuple(Side("scenario", name, {"dpo": ALL}, {"scenario": name}) for name in ("s2", "s3", "s4"))
