"""What the scoreboard says, in words that the numbers choose."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from lab.claims.writing import number
from lab.properties import NAMES, NOT_REACHED
from lab.scoreboard.entries import ENTRIES, Entry
from lab.scoreboard.measuring import END, QUANTITIES
from lab.scoreboard.settings import PROGRESS, SETTINGS

if TYPE_CHECKING:
    import pandas as pd

WORDS = {"drop": "the drastic drop", "degradation": "degradation", "dispersion": "dispersion"}
NETWORKS = {"mlp adam": "under Adam", "mlp sgd": "under plain gradient descent"}


def findings(scores: pd.DataFrame) -> list[str]:
    """Say what the scores show, one finding a sentence or two.

    Args:
        scores: What `lab.scoreboard.measuring.scores` returns, for all entries and settings.

    Returns:
        Markdown, one item each.

    Source: counts of the verdicts; tests/test_scoreboard_report.py.
    """
    return [
        _networks(scores), _own_push(scores), _stops(scores), _policies(scores), _near(scores), _far(scores),
        _early_dispersion(scores), _wrong_way(scores), _reward(scores), _repeats(scores), _resolution(scores),
    ]  # fmt: skip


def having(scores: pd.DataFrame, name: str) -> set[str]:
    """Return the objectives that have a property in at least one of the rows."""
    return set(scores.loc[scores[f"{name}_verdict"] == "present", "entry"])


def _networks(scores: pd.DataFrame) -> str:
    told = []
    for setting, words in NETWORKS.items():
        ends = _at(scores, END, setting)
        counts = ", ".join(f"{len(having(ends, name))} have {WORDS[name]}" for name in NAMES)
        told.append(f"{words} {counts}")
    return (
        f"**In the network, at the end of training**, in at least one of the four scenarios, of {len(ENTRIES)} "
        f"objectives {'; '.join(told)}."
    )


def _own_push(scores: pd.DataFrame) -> str:
    ends = scores[(scores["horizon"] == END) & scores["setting"].isin(NETWORKS)]
    lose = having(ends, "degradation")
    own, rest = _split(lambda each: each.lifts)
    return (
        f"**A push of its own.** Of the {len(own)} objectives that still push the chosen response up once the "
        f"rejected one is let go, {_count(own, lose)} lose chosen mass in the network{_named(own, lose)}; of the "
        f"other {len(rest)}, {_count(rest, lose)} do, and these do not: "
        f"{_labels(each for each in rest if each.name not in lose)}."
    )


def _stops(scores: pd.DataFrame) -> str:
    ends = scores[(scores["horizon"] == END) & scores["setting"].isin(NETWORKS)]
    lose = having(ends, "degradation")
    stops = [each for each in ENTRIES if each.stops and not each.lifts]
    return (
        f"**A finite target.** Of the {len(stops)} objectives that "
        f"stop and have no such push, {_count(stops, lose)} lose chosen mass{_named(stops, lose)}."
    )


def _policies(scores: pd.DataFrame) -> str:
    counts = []
    for setting in SETTINGS:
        found = having(_at(scores, END, setting.name), "degradation")
        counts.append(f"{setting.name} {len(found)}")
    every = having(scores[scores["horizon"] == END], "degradation")
    never = [each for each in ENTRIES if each.name not in every]
    return (
        f"**Where it happens.** Objectives with degradation at the end, by setting: {', '.join(counts)}. In none of "
        f"the settings: {len(never)} ({_labels(never)})."
    )


def _near(scores: pd.DataFrame) -> str:
    near, level = _progress(scores, 0)
    found, there = having(near, "degradation"), _reached(near)
    return (
        f"**At an equal margin of {level:g} nats** {len(found)} of {len(there)} objectives that get there have "
        f"degradation anywhere{_named(ENTRIES, found)}: so early hardly anything separates them."
        if len(found) <= len(there) / 5
        else f"**At an equal margin of {level:g} nats** {len(found)} of {len(there)} objectives that get there have "
        f"degradation somewhere{_named(ENTRIES, found)}."
    )


def _far(scores: pd.DataFrame) -> str:
    far, level = _progress(scores, 1)
    network = far[far["setting"].isin(NETWORKS)]
    there, found = _reached(network), having(network, "degradation")
    return (
        f"**At an equal margin of {level:g} nats** in the network, which {len(there)} objectives reach, {len(found)} "
        f"have degradation{_named(ENTRIES, found)}. There the drop is no news: it is the margin less twice the rise "
        "of log π⁺."
    )


def _early_dispersion(scores: pd.DataFrame) -> str:
    early, level = _progress(scores, 2)
    told = []
    for setting in ("mlp adam", "tabular sgd"):
        rows = {"early": early, "end": scores[scores["horizon"] == END]}
        counts = {
            name: len(having(mine[(mine["setting"] == setting) & (mine["scenario"] == "s2")], "dispersion"))
            for name, mine in rows.items()
        }
        told.append(f"{setting}: {counts['early']} at KL {level:g}, {counts['end']} at the end")
    return (
        "**One horizon is not enough.** Objectives with dispersion in s2, where the chosen response starts unlikely: "
        f"{'; '.join(told)}."
    )


def _wrong_way(scores: pd.DataFrame) -> str:
    ends = scores[scores["horizon"] == END]
    worst = ends.groupby("entry")["log_ratio_margin_high"].max()
    wrong = [each for each in ENTRIES if worst[each.name] < 0]
    if not wrong:
        return "**The wrong way** goes none: every margin ends above 0 somewhere."
    margin = ends.groupby("entry")["log_ratio_margin"].median()
    told = ", ".join(f"{each.label} (median {number(margin[each.name], '.2f')} nats)" for each in wrong)
    return f"**The wrong way.** In every setting and scenario the margin ends below 0: {told}."


def _reward(scores: pd.DataFrame) -> str:
    mean = _at(scores, END, "mlp adam").groupby("entry")["reward_gain"].mean()
    own, rest = _split(lambda each: each.lifts)
    least, most = (
        ", ".join(f"{_label(name)} {number(mean[name], '.2f')}" for name in names)
        for names in (mean.sort_values().index[:3], mean.sort_values().index[:-4:-1])
    )
    middle = [mean[[each.name for each in group]].median() for group in (own, rest)]
    return (
        f"**True reward** gained in the network under Adam, mean of the four scenarios' medians: {middle[0]:.2f} for "
        f"the middle objective with a push of its own, {middle[1]:.2f} without; most: {most}; least: {least}."
    )


def _repeats(scores: pd.DataFrame) -> str:
    numbers = [*NAMES, *QUANTITIES]
    seen: dict[bytes, list[str]] = {}
    for name, rows in scores.groupby("entry", sort=False):
        seen.setdefault(rows[numbers].round(9).to_numpy(float).tobytes(), []).append(_label(str(name)))
    same = [" = ".join(names) for names in seen.values() if len(names) > 1]
    return (
        "**The same in this world**, where a response has one token and the chosen one is the best there is: "
        f"{'; '.join(same) or 'none'}."
    )


def _resolution(scores: pd.DataFrame) -> str:
    read = scores[(scores["horizon"] != END) & scores["step"].notna()]
    every = read["setting"].map({setting.name: setting.every for setting in SETTINGS})
    early = read[read["step"] < every]
    where = ", ".join(f"{name} {count}" for name, count in early["setting"].value_counts(sort=False).items())
    return (
        f"**Resolution.** Of {len(read)} medians at an equal margin or divergence {len(early)} are read before the "
        f"first recorded step after the start, on a straight line from it{f' ({where})' if where else ''}."
    )


def _at(scores: pd.DataFrame, horizon: str, setting: str) -> pd.DataFrame:
    return scores[(scores["horizon"] == horizon) & (scores["setting"] == setting)]


def _progress(scores: pd.DataFrame, place: int) -> tuple[pd.DataFrame, float]:
    return scores[scores["horizon"] == str(PROGRESS[place])], PROGRESS[place].level


def _reached(rows: pd.DataFrame) -> set[str]:
    return set(rows.loc[rows["degradation_verdict"] != NOT_REACHED, "entry"])


def _split(has: Callable[[Entry], bool]) -> tuple[list[Entry], list[Entry]]:
    return [each for each in ENTRIES if has(each)], [each for each in ENTRIES if not has(each)]


def _count(entries: Iterable[Entry], names: set[str]) -> int:
    return sum(each.name in names for each in entries)


def _named(entries: Iterable[Entry], names: set[str]) -> str:
    found = _labels(each for each in entries if each.name in names)
    return f" ({found})" if found else ""


def _labels(entries: Iterable[Entry]) -> str:
    return ", ".join(each.label for each in entries)


def _label(name: str) -> str:
    return next(each.label for each in ENTRIES if each.name == name)
