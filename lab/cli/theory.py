"""What `python -m lab theory` prints: a table of objectives, or all that is known of one."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lab.experiments.sheets import Sheet
from lab.theory.formulas import written
from lab.theory.limits import FAMILIES
from lab.theory.sentences import ending, sentences, target

ABOUT = {
    "never stops": "whatever the margin, some push towards a larger one is left",
    "stops at a target": "both pushes end or turn round at a finite margin",
    "anchored": "the push on the chosen response does not notice that the rejected one is gone",
    "reference-free": "the reference does not enter",
    "pushes both down": "the chosen response is pushed down as well",
}


def show_table(found: Sequence[Sheet], out: Console) -> None:
    """Print a table of objectives, by family."""
    out.print("a⁺ = ∂loss/∂log π(chosen): below 0 it pushes the chosen response up.", style="dim")
    out.print("a⁻ = ∂loss/∂log π(rejected): above 0 it pushes the rejected response down.", style="dim")
    for family in FAMILIES:
        rows = [sheet for sheet in found if sheet.limits.family == family]
        if not rows:
            continue
        table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
        for column, ratio in (("loss", 11), ("a⁺", 31), ("a⁻", 26), ("as π(rejected) → 0", 30), ("target", 18)):
            table.add_column(column, overflow="fold", ratio=ratio)
        for sheet in rows:
            gone = sheet.limits.rejected_gone
            table.add_row(
                Text(sheet.word, style="bold"),
                Text(_with(sheet.formula.chosen, sheet)),
                Text(written(sheet.formula.rejected)),
                Text(f"a⁺ {ending(gone.chosen, 'chosen')}\na⁻ {ending(gone.rejected, 'rejected')}"),
                Text(target(sheet.limits)),
            )
        out.print(Text.assemble("\n", (family, "bold"), f": {ABOUT[family]}"))
        out.print(table)
    out.print(
        "\nt: how far log π(rejected) has fallen, in nats. Target: a margin u - v, or c - r without a reference."
        "\nAll about one: python -m lab theory dpo. With other settings: python -m lab theory dpo ipo beta=1.",
        style="dim", highlight=False,
    )  # fmt: skip


def show_sheet(sheet: Sheet, out: Console) -> None:
    """Print all that is known of an objective."""
    settings = " ".join(f"{key}={value}" for key, value in sheet.settings.items())
    out.print(Text.assemble((sheet.word, "bold"), f" {settings}"))
    out.print(f"\n{sheet.about}\n", markup=False)
    kept = sheet.formula
    for name, text in (("loss", kept.loss), ("a⁺", kept.chosen), ("a⁻", kept.rejected)):
        out.print(f"  {name:<5}= {written(text)}", markup=False)
    for name, meaning in kept.where:
        out.print(f"    {name} = {written(meaning)}", markup=False, style="dim")
    for name in sorted(kept.used):
        if meaning := sheet.meaning(name):
            out.print(f"    {written(name)} = {meaning}", markup=False, style="dim")
    out.print("\na⁺ below 0 pushes the chosen response up, a⁻ above 0 the rejected one down.", style="dim")
    out.print(Text.assemble("\nfamily: ", (sheet.limits.family, "bold"), f" ({ABOUT[sheet.limits.family]})"))
    for sentence in sentences(sheet.limits):
        out.print(f"- {sentence}", markup=False)
    if sheet.source:
        out.print(f"\nSource: {sheet.source}", markup=False)


def _with(text: str, sheet: Sheet) -> str:
    """Write a formula, and its abbreviations below it."""
    return "\n".join([written(text), *(f"  {name} = {written(meaning)}" for name, meaning in sheet.formula.where)])
