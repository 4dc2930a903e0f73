"""Notebook 01: the RLHF objective, and the optimum that it has in closed form.

Source: Rafailov et al. 2023 (arXiv 2305.18290), section 3, eq. 4 and appendix A.1; own derivations for the frontier.
"""

from lab.course.chapters.optimum import budget, frontier, gap, limits, tilt

EXERCISES = tuple(part.EXERCISE for part in (tilt, gap, limits, frontier, budget))
