"""The computed limits, against what can be derived by hand: laws, targets, directions, families."""

from __future__ import annotations

import math
import re
from functools import cache

import pytest
import torch

import lab
from lab.experiments.losses import CATALOGUE, build_objective
from lab.theory.limits import FAMILIES, Limits, limits
from lab.theory.places import Places
from lab.theory.sentences import ending, sentences, target
from lab.theory.tails import Tail, follow

B, E = 0.1, 0.2  # beta and smoothing of the cases below
SPPO_PUSH = 2 / (2 * B)


once = cache(limits)


@cache
def of(word: str, **settings: float) -> Limits:
    """The limits of a word of the experiment line."""
    line = lab.Experiment.parse(
        f"tabular s1 {word} {' '.join(f'{k}={v}' for k, v in settings.items())} sgd lr=1 steps=1"
    )
    return limits(build_objective(line, line.value))


# Objective, ray, term, law, and rate or value: what its documentation says, or two lines of algebra.
TAILS = [
    (lab.DPO(B), "rejected_gone", "chosen", "exponential", -B),
    (lab.DPO(B), "rejected_gone", "rejected", "exponential", -B),
    (lab.DPO(B), "far_right", "rejected", "exponential", -2 * B),
    (lab.DPO(B), "far_wrong", "chosen", "constant", -B),
    (lab.FlexDPO(B, 0.04), "rejected_gone", "rejected", "exponential", -0.04),
    (lab.IPO(B), "rejected_gone", "chosen", "power", 1),
    (lab.SLiC(B), "rejected_gone", "rejected", "cutoff", 1 / B),
    (lab.SFT(), "rejected_gone", "chosen", "constant", -1),
    (lab.SFT(), "rejected_gone", "rejected", "none", 0),
    (lab.CDPO(B, E), "rejected_gone", "chosen", "constant", B * E),
    (lab.RobustDPO(B, E), "rejected_gone", "rejected", "constant", B * E / (1 - 2 * E)),
    (lab.EXO(B, E), "far_wrong", "chosen", "exponential", -2 * B),
    (lab.DiscoPOP(B), "rejected_gone", "chosen", "exponential", -B),
    (lab.NCA(B), "rejected_gone", "chosen", "constant", -B / 4),
    (lab.NCA(B), "far_right", "chosen", "constant", B / 2),
    (lab.BCO(B), "rejected_gone", "chosen", "constant", -B / 2),
    (lab.BCO(B), "rejected_gone", "rejected", "exponential", -B),
    (lab.SPPO(B), "rejected_gone", "chosen", "constant", -SPPO_PUSH),
    (lab.SPPO(B), "rejected_gone", "rejected", "power", 1),
    (lab.APOZero(B), "rejected_gone", "rejected", "exponential", -B),
    (lab.APOZero(B), "rejected_gone", "chosen", "constant", -B / 4),
    (lab.APODown(B), "rejected_gone", "chosen", "constant", B / 4),
    (lab.APODown(B), "far_right", "chosen", "exponential", -B),
    (lab.DPOP(B, 3.0), "far_wrong", "chosen", "constant", -4 * B),
    (lab.DPOShift(B, 0.75), "rejected_gone", "chosen", "exponential", -0.75 * B),
    (lab.ChiPO(B, 10.0), "rejected_gone", "chosen", "cutoff", 10 / B - 1),  # 1 + t = 100, as exp(-t) is gone
    (lab.WPO(lab.DPO(B)), "rejected_gone", "chosen", "exponential", -1 - B),
    # With pi(chosen) = 1 from an unlikely reference KL is u itself: the push on the chosen never leaves its largest.
    (lab.KTO(B), "far_right", "chosen", "constant", -B / 8),
    (lab.KTO(B), "chosen_certain", "chosen", "constant", -B / 8),
    (lab.KTO(B), "rejected_gone", "rejected", "exponential", -B),
    (lab.CPO(B), "rejected_gone", "chosen", "constant", -1),
    (lab.SLiCHF(B), "rejected_gone", "rejected", "cutoff", 1 / B),
    (lab.SimPO(B, 0.5), "rejected_gone", "chosen", "exponential", -B),
    (lab.AlphaPO(B, 0.5), "rejected_gone", "rejected", "faster", -1),
    # The score of the rejected response is bounded: its push fades like pi^|alpha|, the chosen one's stays.
    (lab.AlphaPO(B, 0.5, 0.0, -0.5), "rejected_gone", "rejected", "exponential", -0.5),
    (lab.ORPO(B), "rejected_gone", "rejected", "exponential", -1),
    (lab.ORPO(B), "chosen_certain", "chosen", "constant", -1 - B * 0.45 / math.e / (1 - 0.45 / math.e)),
    (lab.TPO(B, 0.7), "rejected_gone", "chosen", "constant", -0.7),
    (lab.RewardModel(0.0, 0.01), "rejected_gone", "chosen", "power", 1),
    (lab.Unlikelihood(), "rejected_gone", "rejected", "exponential", -1),
    (lab.Unlikelihood(), "far_wrong", "rejected", "exponential", 1),
    (lab.Divergence(lab.DPO(B), "forward_kl"), "rejected_gone", "rejected", "faster", -1),
    (lab.Divergence(lab.DPO(B), "alpha", 1.5), "rejected_gone", "rejected", "exponential", -0.5),
    (lab.WeightedSum((lab.DPO(B), lab.SFT()), (1.0, 0.3)), "rejected_gone", "chosen", "constant", -0.3),
]


@pytest.mark.parametrize(("objective", "ray", "term", "law", "number"), TAILS)
def test_a_tail_is_the_one_derived_by_hand(objective, ray, term, law, number):
    tail = getattr(getattr(once(objective), ray), term)
    assert tail.law == law
    found = tail.value if law == "constant" else tail.rate
    assert found == pytest.approx(number, rel=2e-3, abs=1e-12)


@pytest.mark.parametrize(
    ("objective", "chosen", "rejected"),
    [
        (lab.DPO(B), None, None),
        (lab.IPO(B), 1 / (2 * B), 1 / (2 * B)),
        (lab.SLiC(B), 1 / B, 1 / B),
        (lab.CDPO(B, E), math.log(4) / B, math.log(4) / B),
        (lab.EXO(B, E), math.log(4) / B, math.log(4) / B),
        (lab.NCA(B), 2 * math.log(2) / B, None),
        (lab.SPPO(B), 1 / B, 1 / B),
        (lab.SLiCHF(B), None, 1 / B),
        (lab.FreeIPO(B, 1.0), 1 / (2 * B) + 0.5, 1 / (2 * B)),
        (lab.DiscoPOP(B), None, None),
        (lab.KTO(B), None, None),
    ],
)
def test_a_target_is_where_algebra_puts_it(objective, chosen, rejected):
    found = limits(objective)
    for term, expected in (("chosen", chosen), ("rejected", rejected)):
        turn = found.target(term)
        assert (turn is None) == (expected is None)
        if turn is not None:
            assert turn.margin == pytest.approx(expected, rel=1e-9)
            assert turn.how == ("stops" if "SLiC" in type(objective).__name__ else "turns")


@pytest.mark.parametrize("tau", [0.05, 0.2])
def test_discopop_pushes_the_wrong_way_in_a_band_around_the_start(tau):
    """By hand at m = 0: f' = (1 - log 2) / (4 tau) - 3/4, above 0 for tau < 0.1023."""
    found = limits(lab.DiscoPOP(0.5, tau))
    assert found.start[0] == pytest.approx(0.5 * ((1 - math.log(2)) / (4 * tau) - 0.75), rel=1e-12)
    band = [turn.margin for turn in found.turns if turn.term == "chosen"]
    assert (len(band) == 2 and band[0] < 0 < band[1]) if tau == 0.05 else (found.start[0] < 0)


def test_every_word_has_limits_and_the_families_are_those_of_its_paper():
    families = {word: of(word).family for word in CATALOGUE}
    assert set(families.values()) == set(FAMILIES)
    by_family = {name: {word for word, family in families.items() if family == name} for name in FAMILIES}
    assert by_family["stops at a target"] == {"ipo", "slic", "cdpo", "exo", "ipo_avg", "chipo"}
    assert by_family["anchored"] == {"nca", "bco", "sppo", "caldpo", "apo_zero", "kto", "apo_unpaired"}
    assert by_family["pushes both down"] == {"apo_down"}
    free = {word for word, (make, _) in CATALOGUE.items() if getattr(make, "__module__", "").rsplit(".", 1)[-1] in
            ("reference_free", "odds", "triple", "supervised", "rewards")}  # fmt: skip
    assert by_family["reference-free"] == free


def test_only_margin_and_balance_are_those_of_the_objectives():
    for word in CATALOGUE:
        line = lab.Experiment.parse(f"tabular s1 {word} sgd lr=1 steps=1")
        objective = build_objective(line, line.value)
        found = of(word)
        if objective.only_margin:
            assert found.only_margin and found.balanced and found.reads_reference
    assert not of("flex", beta_rejected=0.04).balanced and of("flex").balanced


def test_directions_are_found_where_they_are():
    """Above its target of 5 nats IPO lowers the chosen and raises the rejected response; 5.5 is the next place."""
    assert of("ipo").lowers_chosen == (0.0, -5.5) == of("ipo").raises_rejected
    assert of("dpo").lowers_chosen is None and of("dpo").raises_rejected is None
    assert of("nca").lowers_chosen == (7.0, 0.0) and of("nca").raises_rejected is None  # log 2 / 0.1 = 6.93
    assert of("apo_down").lowers_chosen == (0.0, -0.5)


def test_the_chosen_push_outlives_the_rejected_response_where_a_term_of_its_own_holds_it():
    """Term by term: NLL, SFT and losses of single responses hold it; functions of one margin do not."""
    outliving = {word for word in CATALOGUE if of(word).chosen_outlives}
    likelihood = {"sft", "sft_token", "unlikelihood", "cpo", "slichf", "orpo", "tpo", "tpo_l"}
    assert outliving == likelihood | {"nca", "bco", "sppo", "caldpo", "apo_zero", "kto", "apo_unpaired"}
    assert once(lab.WeightedSum((lab.DPO(B), lab.SFT()), (1.0, 0.01))).chosen_outlives
    assert not of("robust").chosen_outlives  # both pushes stay


def test_lengths_move_the_target_of_averages():
    """u / 4 - v / 2 = 5 with u = -v = D / 2 at D = 40 / 3."""
    found = limits(lab.AveragedIPO(B), chosen_length=4, rejected_length=2)
    assert found.target("chosen").margin == pytest.approx(40 / 3, rel=1e-9) and not found.balanced


def test_places_are_distributions_and_have_the_log_ratios_they_were_asked_for():
    u, v = (torch.tensor(values, dtype=torch.float64) for values in ([0.0, 3.0, -3.0, 1e4], [0.0, -5.0, -1.0, -1e4]))
    places = Places.at(u, v)
    assert torch.equal(places.chosen_log_ratio, u) and torch.equal(places.rejected_log_ratio, v)
    assert places.chosen.exp().tolist() == pytest.approx([0.45, 1 - 0.55 * math.exp(-3), 0.45 * math.exp(-3), 1])
    assert bool((places.chosen.exp() + places.rejected.exp() <= 1).all())
    certain = Places.certain(torch.tensor([50.0], dtype=torch.float64))
    assert float(certain.chosen) == pytest.approx(-math.exp(-50)) and float(certain.chosen_log_ratio) == pytest.approx(
        -math.log(0.45)
    )


def test_kl_and_confidence_are_those_of_the_prompt():
    """KTO and WPO read them: against a table of ten probabilities."""
    u, v = 0.3, -0.7
    places = Places.at(*(torch.tensor([x], dtype=torch.float64) for x in (u, v)))
    p, q = float(places.chosen.exp()), float(places.rejected.exp())
    now = torch.tensor([p, q, *[(1 - p - q) / 8] * 8], dtype=torch.float64)
    first = [p * math.exp(-u), q * math.exp(-v)]
    ref = torch.tensor([*first, *[(1 - sum(first)) / 8] * 8], dtype=torch.float64)
    kl, collision = (now * (now / ref).log()).sum(), (now**2).sum()
    push = B * torch.sigmoid(torch.tensor(B * (u - float(kl)))) * torch.sigmoid(torch.tensor(-B * (u - float(kl)))) / 2
    assert float(places.weights(lab.KTO(B))[0]) == pytest.approx(-float(push), rel=1e-6)
    weight = p * q / float(collision) ** 2
    dpo = float(lab.DPO(B).response_weights(lab.PairLogProbs(*(torch.tensor([[x]], dtype=torch.float64) for x in
                (math.log(p), math.log(q), math.log(p) - u, math.log(q) - v))))[0])  # fmt: skip
    assert float(places.weights(lab.WPO(lab.DPO(B)))[0]) == pytest.approx(weight * dpo, rel=1e-12)


def test_several_values_of_a_setting_are_refused():
    with pytest.raises(ValueError, match="2 values of a hyper-parameter for 1 runs; give one number or one a run"):
        limits(lab.DPO(torch.tensor([0.1, 0.2])))


@pytest.mark.parametrize(
    ("push", "law", "rate"),
    [
        (lambda t: torch.exp(-0.3 * t), "exponential", -0.3),
        (lambda t: t**2 * torch.exp(-0.3 * t), "exponential", -0.3),
        (lambda t: 5 / t**1.5, "power", -1.5),
        (lambda t: -t, "power", 1.0),
        (lambda t: 2 + 1 / t**2, "constant", 0.0),
        (lambda t: torch.exp(-(t**2)), "faster", -1.0),
        (lambda t: (t < 77.7).double(), "cutoff", 77.7),
        (lambda t: 0 * t, "none", 0.0),
    ],
)
def test_a_law_is_recognised(push, law, rate):
    tail = follow(push)
    assert tail.law == law and tail.rate == pytest.approx(rate, rel=1e-6)


def test_a_law_must_be_one_of_the_list():
    with pytest.raises(ValueError, match="law is 'linear'; allowed are none, constant, exponential"):
        Tail("linear", 1.0, 0.0, 1)


@pytest.mark.parametrize(
    ("tail", "term", "words"),
    [
        (Tail("exponential", -0.1, 0.0, -1), "chosen", "vanishes like exp(-0.1 t)"),
        (Tail("exponential", -1.0, 0.0, 1), "rejected", "vanishes like exp(-t)"),
        (Tail("power", 1.0, math.inf, 1), "chosen", "grows like t, the wrong way"),
        (Tail("constant", 0.0, -0.05, -1), "chosen", "stays, 0.05 up"),
        (Tail("cutoff", 10.0, 0.0, 1), "rejected", "is 0 from t = 10 on"),
        (Tail("none", 0.0, 0.0, 0), "rejected", "is 0 throughout"),
        (Tail("faster", -1.0, 0.0, 1), "rejected", "vanishes faster than any exponential"),
    ],
)
def test_an_ending_is_said_in_plain_words(tail, term, words):
    assert ending(tail, term) == words


def test_the_sentences_answer_every_question_with_its_numbers():
    text = "\n".join(sentences(of("ipo")))
    for words in ("chosen pushed up by 10", "Target, as a margin u - v along u = -v: both: turns at 5.", "v = -5.5.",
                  "equal and opposite everywhere", "grows like t, the wrong way"):  # fmt: skip
        assert words in text
    assert "does not outlive the rejected response." in text and "chosen response outlives" in " ".join(
        sentences(of("kto"))
    )
    assert "rejected response up: nowhere within 40 nats." in "\n".join(sentences(of("dpo")))
    assert target(of("dpo")) == "none" and re.search(r"chosen turns at 13\.86$", target(of("nca")))
    assert "Other places where a push changes: chosen turns at -1.186" in "\n".join(sentences(of("discopop")))
