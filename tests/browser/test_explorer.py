"""An explorer in JupyterLab in a real browser: keys, drags and words reach the kernel, and its numbers come back."""

from __future__ import annotations

import pytest

import lab

LINE = "tabular s2 dpo beta=0.1 sgd lr=1 steps=100 seeds=4"
CALL = f'lab.explore("{LINE}")'


def final(line: str) -> dict[str, float]:
    """Where the roles of a line end, out of the package itself."""
    record = lab.run(line)
    pairs = {"chosen": lab.metrics.chosen_prob(record), "rejected": lab.metrics.rejected_prob(record)}
    found = {role: lab.metrics.over_pairs(value, record) for role, value in pairs.items()}
    found["unseen"] = lab.metrics.over_prompts(lab.metrics.unseen_mass(record), record)
    return {role: float(value.isel(step=-1).median("seed")) for role, value in found.items()}


def assert_shows(explorer, line: str) -> None:
    assert explorer.line == line
    for role, value in final(line).items():
        assert explorer.number(role) == pytest.approx(value, rel=1e-9), role


def test_a_slider_moved_by_key_shows_the_numbers_of_its_line(explore):
    explorer = explore(CALL)
    assert_shows(explorer, LINE)
    before = explorer.renders, explorer.summary, explorer.slider("beta").get_attribute("aria-valuetext")
    explorer.press("beta", "ArrowRight")
    assert explorer.renders > before[0] and explorer.summary != before[1]
    assert_shows(explorer, LINE.replace("beta=0.1", "beta=0.13"))
    assert before[2] == "β = 0.1" and explorer.slider("beta").get_attribute("aria-valuetext") == "β = 0.13"
