"""The figure of the race: its message is what was measured, and it draws whoever took part."""

from __future__ import annotations

import pytest

from benchmarks.race.cases import Case
from benchmarks.race.peers import BEST, NATURAL, PEERS, PLAIN, RECORD, RECORDINGS, REDUCED
from figures import a_thousand_runs_for_the_price_of_one as figure
from figures.machinery import Page

RUNS = {("A", "sgd"): (1, 1024), ("A", "adam"): (1, 1024), ("B", "adam"): (1, 256), ("C", "sgd"): (1, 16)}
COST = {PLAIN: 500e-6, NATURAL: 1e-6, BEST: 0.4e-6, REDUCED: 0.3e-6, RECORDINGS: 0.25e-6, RECORD: 0.1e-6}


def race(cost, jax=True):
    cases = [Case(workload, optimizer, runs, 10) for (workload, optimizer), sizes in RUNS.items() for runs in sizes]
    return {
        "machine": {"processor": "abacus", "cores": 2, "torch": "2", **({"jax": "1"} if jax else {})},
        "limits": {case.name: 1e-8 for case in cases},
        "cases": {
            case.name: {
                "workload": case.workload, "optimizer": case.optimizer, "runs": case.runs, "steps": case.steps,
                "peers": {
                    peer: {"runs": case.runs, "seconds": [each * case.runs * case.steps * f for f in (1, 3, 2)]}
                    for peer, each in cost.items()
                },
            }
            for case in cases
        },
    }  # fmt: skip


def drawing(monkeypatch, found):
    monkeypatch.setattr(figure, "measured", lambda name: found)
    return figure.draw({}, Page(figure.FIGURE.title, figure.FIGURE.lines))


def test_every_peer_has_a_line():
    assert set(figure.ROLES) == set(PEERS)


def test_the_figure_draws_medians_with_the_fastest_and_the_slowest_round(monkeypatch):
    drawn = drawing(monkeypatch, race(COST))
    rows = drawn.data[(drawn.data["panel"] == figure.PANELS["B", "adam"]) & (drawn.data["series"] == "lab")]
    assert rows["x"].tolist() == [1, 256]
    for name, expected in (("y", 0.5), ("low", 0.25), ("high", 0.75)):
        assert rows[name].tolist() == pytest.approx([expected, expected])
    assert drawn.numbers[f"A sgd 1024: {NATURAL}, times the lab"][0] == pytest.approx(4.0)
    assert "loop 2000, JAX 4, tuned 1.6, reduced 1.2" in drawn.alt
    limit = drawn.data[drawn.data["series"] == "limit"]
    assert limit["y"].tolist() == pytest.approx([0.01] * 8)


@pytest.mark.parametrize(("cost", "message"), [(0.25e-6, True), (0.5e-6, True), (0.51e-6, False)])
def test_a_thousand_for_one_is_said_where_it_is_so(monkeypatch, cost, message):
    drawn = drawing(monkeypatch, race({**COST, RECORDINGS: cost * (1 - 1e-12)}))
    headline = drawn.figure.texts[0].get_text().replace("\n", " ")
    assert headline.startswith("A thousand runs") is message and (headline == figure.PLAIN_TITLE) is not message


def test_a_race_without_jax_is_drawn_too(monkeypatch):
    some = {peer: COST[peer] for peer in (PLAIN, RECORDINGS, RECORD)}
    drawn = drawing(monkeypatch, race(some, jax=False))
    assert set(drawn.data["series"]) == {"plain loop", "lab", "record only", "limit"}
    assert "JAX" not in drawn.alt and "JAX 1" not in drawn.figure.texts[1].get_text()
