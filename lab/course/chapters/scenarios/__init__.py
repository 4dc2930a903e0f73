"""Notebook 05: where the pairs come from, what that does, and how sure one can be of it.

Sources: Yan et al. 2024 (arXiv 2406.07327), section 3.2; the law of the table is our own derivation, held to training
in tests/test_chapter_scenarios.py.
"""

from lab.course.chapters.scenarios import breaking, intervals, suffering, unseen_peak, verdicts

EXERCISES = tuple(part.EXERCISE for part in (unseen_peak, suffering, intervals, verdicts, breaking))
