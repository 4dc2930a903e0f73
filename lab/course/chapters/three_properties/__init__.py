"""Notebook 04: drastic drop, degradation and dispersion, exact in a table and then in a network.

Sources: Yan et al. 2024 (arXiv 2406.07327), section 3; Ren & Sutherland 2025 (arXiv 2407.10490), proposition 1; own
derivations for the table.
"""

from lab.course.chapters.three_properties import claim, detectors, one_step, rise, unseen

EXERCISES = tuple(part.EXERCISE for part in (rise, unseen, detectors, one_step, claim))
