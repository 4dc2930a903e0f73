"""Notebook 02: rewards of comparisons, what the data fix and what they leave open.

Sources: Bradley & Terry 1952; Rafailov et al. 2023 (arXiv 2305.18290), eq. 1 and 2; Ford 1957 (Solution of a ranking
problem from binary comparisons) for when a largest likelihood exists.
"""

from lab.course.chapters.reward_models import ambiguity, calibration, existence, fitting, likelihood

EXERCISES = tuple(part.EXERCISE for part in (likelihood, ambiguity, fitting, existence, calibration))
