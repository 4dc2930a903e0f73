"""The words of the experiment line, in canonical order: what each is, its default, and to whom it belongs."""

from __future__ import annotations

import math
from dataclasses import dataclass

EXAMPLE = "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24"
KEPT = ("gradients", "predictions", "parameters")

Value = str | int | float


@dataclass(frozen=True)
class Word:
    """One field of an experiment.

    Args:
        about: What it means, in a few words.
        kind: "bare" (written without a key), "choice", "whole", "real", "keep", "pairs" or "table".
        default: Its values when the line does not give it; empty means required, unless `optional`.
        choices: The valid words of a bare word or a choice.
        low, high: Bounds of a number; `open_low` and `open_high` leave the bound itself out.
        sweep: "batched" (one value per run), "looped" (another computation) or "fixed" (no axis possible).
        owner: The field it belongs to ("" for every experiment), with the words of that field in `owned_by`.
        optional: May be empty: it then follows another field.
        shown: Stands in the canonical line even at its default.
    """

    about: str
    kind: str
    default: tuple[Value, ...] = ()
    choices: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    sweep: str = "fixed"
    owner: str = ""
    owned_by: tuple[str, ...] = ()
    optional: bool = False
    shown: bool = False

    @property
    def required(self) -> bool:
        """Whether every line has to give it."""
        return not self.default and not self.optional

    @property
    def allowed(self) -> str:
        """What is allowed, as the end of the sentence 'NAME is ...'."""
        if self.kind in ("bare", "choice"):
            return f"one of {', '.join(self.choices)}"
        if self.kind == "keep":
            return f"any of {', '.join(KEPT)} joined by '+', or none"
        if self.kind == "pairs":
            return "prompt:chosen>rejected, counted from 0, with *weight where it is not 1; '+' joins pairs"
        if self.kind == "table":
            return "probabilities that sum to 1 for each prompt, '/' between responses, '+' between prompts"
        noun = "a whole number" if self.kind == "whole" else "a finite number"
        parts = []
        if self.low > -math.inf:
            parts.append(f"above {self.low:g}" if self.open_low else f"of at least {self.low:g}")
        if self.high < math.inf:
            parts.append(f"below {self.high:g}" if self.open_high else f"at most {self.high:g}")
        return f"{noun} {' and '.join(parts)}".rstrip()


# The losses of log-ratios whose regulariser may be another f-divergence.
_RATIOS = ("dpo", "ipo", "slic", "cdpo", "robust", "exo", "discopop", "dpo_avg", "ipo_avg")
_FREE = ("cpo", "slichf", "ipo_free")
_AVERAGED = ("dpo_avg", "ipo_avg", "ipo_free", "simpo", "alphapo", "tpo_l", "orpo", "sft_token")
_PROSPECT = ("kto", "apo_unpaired")
COUPLED = ("aot", "aot_unpaired")  # they compare each pair with all others
# Every objective with a beta, in the order of the catalogue.
_SCALED = (
    "dpo", "flex", "ipo", "slic", "cdpo", "robust", "exo", "discopop", "dpo_avg", "ipo_avg", "nca", "bco", "sppo",
    "apo_zero", "apo_down", "caldpo", "dpop", "dposhift", "chipo", "wpo", *COUPLED, *_PROSPECT, *_FREE, "simpo",
    "alphapo", "orpo", "tpo", "tpo_l",
)  # fmt: skip
_PAIRWISE = (*_SCALED, "reward", "unlikelihood")
GRADIENTS = ("pg", "reinforce", "rloo", "grpo", "ppo")  # they draw their own responses
_OBJECTIVES = ("dpo", "flex", "ipo", "slic", "sft", *_PAIRWISE[4:], "sft_token", "rm", *GRADIENTS)
_OPEN = ("open",)
_OWN = ("own",)


def _weight(about: str, *owners: str, default: float = 1.0) -> Word:
    return Word(about, "real", (default,), low=0, sweep="batched", owner="objective", owned_by=owners)


def _setting(
    about: str,
    kind: str,
    choices: tuple[str, ...] = (),
    low: float = -math.inf,
    *,
    open_low: bool = False,
    sweep: str = "looped",
) -> Word:
    """A setting of policy gradients; one that the line leaves out is what the method is known by."""
    return Word(f"{about}; the method's own if not given", kind, choices=choices, low=low, open_low=open_low,
                sweep=sweep, owner="objective", owned_by=GRADIENTS, optional=True)  # fmt: skip


# The order of this table is the canonical order of the line and of the axes.
WORDS: dict[str, Word] = {
    "policy": Word(
        "how parameters become logits", "bare", choices=("tabular", "loglinear", "mlp"), sweep="looped", shown=True
    ),
    "scenario": Word(
        "where chosen and rejected start: s1 on/on, s2 off/on, s3 on/off, s4 off/off; open: comparisons are drawn; "
        "own: pairs as given",
        "bare",
        choices=("s1", "s2", "s3", "s4", "open", "own"),
        sweep="batched",
        shown=True,
    ),
    "objective": Word("the loss", "bare", choices=_OBJECTIVES, sweep="looped", shown=True),
    "beta": Word(
        "scale of the log-ratios; weight of KL", "real", (0.1,), low=0, open_low=True, sweep="batched",
        owner="objective", owned_by=(*_SCALED, *GRADIENTS), shown=True,
    ),
    "beta_chosen": Word(
        "beta of the chosen response; beta if not given", "real", low=0, open_low=True, sweep="batched",
        owner="objective", owned_by=("flex",), optional=True,
    ),
    "beta_rejected": Word(
        "beta of the rejected response; beta if not given", "real", low=0, open_low=True, sweep="batched",
        owner="objective", owned_by=("flex",), optional=True,
    ),
    "sft_weight": Word(
        "weight of an added SFT loss on the chosen response", "real", (0.0,), low=0, sweep="batched",
        owner="objective", owned_by=_PAIRWISE,
    ),
    "smoothing": Word(
        "rate of wrong labels that is allowed for", "real", (0.1,), low=0, high=0.5, open_low=True, open_high=True,
        sweep="batched", owner="objective", owned_by=("cdpo", "robust", "exo"),
    ),
    "tau": Word("width of DiscoPOP's blend", "real", (0.05,), low=0, open_low=True, sweep="batched",
                owner="objective", owned_by=("discopop",)),
    "penalty": _weight("price of a fall of the chosen response", "dpop", default=50.0),
    "shift": Word("factor on the rejected log-ratio", "real", (0.75,), low=0, high=1, open_low=True, sweep="batched",
                  owner="objective", owned_by=("dposhift",)),
    "clip": Word("largest margin of chi-PO", "real", (10.0,), low=0, open_low=True, sweep="batched",
                 owner="objective", owned_by=("chipo",)),
    "gamma": _weight("target margin", "simpo", "alphapo", "tpo_l", default=0.5),
    "alpha": Word("shape of AlphaPO's score; 0 is SimPO's", "real", (0.25,), sweep="batched",
                  owner="objective", owned_by=("alphapo",)),
    "nll_weight": _weight("weight of the likelihood of the chosen response", *_FREE, "orpo"),
    "gold_weight": _weight("weight of the likelihood of the gold response, the chosen one here", "tpo", "tpo_l"),
    "desirable_weight": _weight("weight of the chosen response", *_PROSPECT),
    "undesirable_weight": _weight("weight of the rejected response", *_PROSPECT),
    "unlikelihood_weight": _weight("weight of the unlikelihood", "unlikelihood"),
    "reward_margin": Word("what the rewards should differ by", "real", (0.0,), sweep="batched",
                          owner="objective", owned_by=("reward", "rm")),
    "centering": _weight("weight of the centring of rewards", "reward", "rm", default=0.0),
    "samples": _setting("responses drawn for a prompt; 0 is the exact expectation", "whole", low=0),
    "epochs": _setting("updates on each batch of drawn responses", "whole", low=1),
    "ratio_clip": _setting("how far pi / pi_old may leave 1", "real", low=0, open_low=True, sweep="batched"),
    "baseline": _setting("what is subtracted from the reward", "choice",
                         choices=("none", "mean", "leave_one_out", "group", "value")),
    "whiten": _setting("whether advantages are scaled over the batch", "choice", choices=("no", "yes")),
    "kl": _setting("where KL enters", "choice", choices=("reward", "exact", "k3", "k3_corrected")),
    "rollouts": _setting("prompts that responses are drawn for: all, or those with data", "choice",
                         choices=("all", "data")),
    "reward_from": Word("which reward is climbed: the true one, or that of a model trained on the same data", "choice",
                        ("truth",), ("truth", "model"), sweep="looped", owner="objective", owned_by=GRADIENTS),
    "model_steps": Word("updates of the reward model", "whole", (500,), low=1, sweep="looped", owner="reward_from",
                        owned_by=("model",)),
    "model_lr": Word("learning rate of the reward model; lr if not given", "real", low=0, open_low=True,
                     sweep="batched", owner="reward_from", owned_by=("model",), optional=True),
    "divergence": Word("f-divergence of the regulariser", "choice", ("reverse_kl",),
                       ("reverse_kl", "forward_kl", "jensen_shannon", "alpha"), sweep="looped", owner="objective",
                       owned_by=_RATIOS),
    "divergence_alpha": Word("alpha of the alpha divergence", "real", (0.5,), sweep="batched", owner="divergence",
                             owned_by=("alpha",)),
    "chosen_length": Word("tokens of a chosen response", "whole", (1,), low=1, sweep="looped", owner="objective",
                          owned_by=_AVERAGED),
    "rejected_length": Word("tokens of a rejected response", "whole", (1,), low=1, sweep="looped", owner="objective",
                            owned_by=_AVERAGED),
    "terms": Word(
        "which term of the gradient training follows; the record tells of both", "choice", ("both",),
        ("both", "chosen", "rejected"), sweep="looped", owner="objective",
        owned_by=tuple(word for word in _OBJECTIVES if word not in ("rm", *GRADIENTS)),
    ),
    "optimizer": Word("the update rule", "bare", choices=("sgd", "momentum", "adam"), sweep="looped", shown=True),
    "lr": Word("learning rate", "real", low=0, open_low=True, sweep="batched", shown=True),
    "momentum": Word(
        "decay of the momentum", "real", (0.9,), low=0, high=1, open_high=True, sweep="batched",
        owner="optimizer", owned_by=("momentum",), shown=True,
    ),
    "eps": Word(
        "what Adam adds to the root of its mean square", "real", (1e-8,), low=0, open_low=True, sweep="batched",
        owner="optimizer", owned_by=("adam",),
    ),
    "steps": Word("number of updates", "whole", low=1, shown=True),
    "seeds": Word("number of seeds", "whole", (24,), low=1, shown=True),
    "seed": Word("first seed", "whole", (0,), low=0, high=1_000_000),
    "batch": Word("pairs per step; 0 is the full batch", "whole", (0,), low=0, sweep="looped"),
    "every": Word("record every so many steps", "whole", (1,), low=1),
    "keep": Word("what is recorded beyond the log-probabilities", "keep", ("gradients",)),
    "prompts": Word("number of prompts", "whole", (4,), low=1),
    "responses": Word("responses of a prompt", "whole", (10,), low=3),
    "pairs": Word("pairs of a prompt", "whole", (1,), low=1),
    "compare": Word("the pairs", "pairs", owner="scenario", owned_by=_OWN, optional=True),
    "start": Word("the reference; drawn if not given", "table", owner="scenario", owned_by=_OWN, optional=True),
    "roles": Word("whether a response keeps to being chosen or rejected over all prompts", "choice", ("mixed",),
                  ("mixed", "kept"), sweep="looped"),
    "on": Word(
        "start probability called on-policy", "real", (0.45,), low=0, high=1, open_low=True, open_high=True,
        sweep="batched",
    ),
    "off": Word(
        "start probability called off-policy", "real", (0.02,), low=0, high=1, open_low=True, open_high=True,
        sweep="batched",
    ),
    "spread": Word("how the rest is spread over the unseen responses", "choice", ("drawn",), ("drawn", "even"),
                   sweep="looped"),
    "truth": Word("true reward: none, standard normal draws that agree with fixed pairs, or linear in the features",
                  "choice", ("none",), ("none", "normal", "linear"), sweep="looped"),
    "data": Word("comparisons behind the pairs: infinitely many, or a sample", "choice", ("population",),
                 ("population", "sampled"), sweep="looped", owner="scenario", owned_by=_OPEN),
    "comparisons": Word("comparisons drawn for a prompt", "whole", (32,), low=1, sweep="looped", owner="data",
                        owned_by=("sampled",)),
    "repeats": Word("labels drawn for a comparison", "whole", (1,), low=1, sweep="looped", owner="data",
                    owned_by=("sampled",)),
    "judge": Word("who labels: by the Bradley-Terry law, or right at a given rate", "choice", ("bradley_terry",),
                  ("bradley_terry", "noisy"), sweep="looped", owner="scenario", owned_by=_OPEN),
    "agreement": Word("how often the noisy judge is right", "real", (1.0,), low=0.5, high=1, sweep="batched",
                      owner="judge", owned_by=("noisy",)),
    "sampler": Word("whose responses are compared: the reference's, even ones, tilted to the reward, the policy's own",
                    "choice", ("reference",), ("reference", "even", "tilted", "policy"), sweep="looped",
                    owner="scenario", owned_by=_OPEN),
    "tilt": Word("the tilted sampler is the reference times exp(tilt reward)", "real", (1.0,), sweep="batched",
                 owner="sampler", owned_by=("tilted",)),
    "refresh": Word("updates between two draws from the policy; 1 is online", "whole", (1,), low=1, sweep="looped",
                    owner="sampler", owned_by=("policy",)),
    "coverage": Word("responses of a prompt that can be compared; 0 is all", "whole", (0,), low=0, sweep="looped",
                     owner="scenario", owned_by=_OPEN),
    "held": Word("prompts without data, the last ones", "whole", (0,), low=0, sweep="looped", owner="scenario",
                 owned_by=_OPEN),
    "sharpness": Word("scale of the reference's logits", "real", (1.0,), low=0, sweep="batched", owner="scenario",
                      owned_by=(*_OPEN, *_OWN)),
    "width": Word("hidden width", "whole", (64,), low=1, sweep="looped", owner="policy", owned_by=("mlp",)),
    "activation": Word("hidden activation", "choice", ("relu",), ("relu", "tanh"), sweep="looped", owner="policy",
                       owned_by=("mlp",)),
    "features": Word("number of features", "whole", (16,), low=2, sweep="looped", owner="policy",
                     owned_by=("loglinear",)),
    "overlap": Word(
        "cosine of the chosen and the rejected features", "real", (0.0,), low=-1, high=1, sweep="batched",
        owner="policy", owned_by=("loglinear",),
    ),
    "dtype": Word("number type of the computation", "choice", ("float64",), ("float64", "float32"), sweep="looped"),
}  # fmt: skip

# What may change after `then`: what is descended, and how. The rest is the world that the stages share.
STAGED = ("objective", "optimizer", "lr", "steps", *(name for name, word in WORDS.items()
          if word.owner in ("objective", "optimizer", "divergence")))  # fmt: skip
# Words that only a stage after `then` has.
STAGE_WORDS = {
    "reference": Word(
        "the reference from here on: where the first stage began, or where this one does; unchanged if not given",
        "choice", choices=("start", "stage"), optional=True,
    ),
}  # fmt: skip


def takers(name: str) -> str:
    """Name the words that take a field, as in 'objective dpo or ipo', or the few that do not."""
    word = WORDS[name]
    choices = WORDS[word.owner].choices
    if 2 * len(word.owned_by) <= len(choices):
        return f"{word.owner} {' or '.join(word.owned_by)}"
    return f"any {word.owner} but {', '.join(choice for choice in choices if choice not in word.owned_by)}"
