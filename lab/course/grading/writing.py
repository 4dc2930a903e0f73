"""Write marks: a table for the instructor, and a text with reasons for each student."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from lab.course.exercise import Exercise
from lab.course.grading.marking import Report


def write_marks(reports: Sequence[Report], exercises: Sequence[Exercise], out: Path) -> Path:
    """Write the marks of a course.

    Args:
        reports: One a student.
        exercises: What counted.
        out: The CSV file: a row a student, a column an exercise, the total, and remarks.

    Returns:
        The folder beside it that holds one text a student.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file)
        writer.writerow(["student", *(exercise.id for exercise in exercises), "total", "remarks"])
        for report in reports:
            points = (mark.points for mark in report.marks)
            writer.writerow([_harmless(report.student), *points, report.total, _harmless(" ".join(report.remarks))])
    folder = out.with_suffix("")
    folder = folder.with_name(f"{folder.name}-reasons")
    folder.mkdir(exist_ok=True)
    titles = {exercise.id: exercise.title for exercise in exercises}
    for number, report in enumerate(reports, 1):
        name = re.sub(r"[^\w.-]+", "_", report.student)[:80] or "student"
        taken = folder / f"{name}.txt"
        if taken.name in {_file(other) for other in reports[: number - 1]}:
            taken = folder / f"{name}-{number}.txt"
        taken.write_text(_text(report, titles), encoding="utf-8", errors="backslashreplace")
    return folder


def _file(report: Report) -> str:
    return (re.sub(r"[^\w.-]+", "_", report.student)[:80] or "student") + ".txt"


def _harmless(text: str) -> str:
    """Keep a spreadsheet from reading a text as a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _text(report: Report, titles: dict[str, str]) -> str:
    most = sum(mark.most for mark in report.marks)
    lines = [f"{report.student}: {report.total} of {most} points", *report.remarks, ""]
    for mark in report.marks:
        sign = "–" if not mark.points and "not written" in mark.reason else "✓" if mark.points else "✗"
        lines.append(f"{sign} {mark.exercise} {titles[mark.exercise]}: {mark.points} of {mark.most}")
        lines += [f"    {text}" for text in (mark.reason, *mark.remarks) if text]
    return "\n".join(lines) + "\n"
