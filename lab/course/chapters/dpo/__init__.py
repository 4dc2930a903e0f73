"""Notebook 03: the DPO loss, its gradient, and the optimum that it has or has not.

Sources: Rafailov et al. 2023 (arXiv 2305.18290), section 4 and eq. 7; Yan et al. 2024 (arXiv 2406.07327), corollary 1.
"""

from lab.course.chapters.dpo import counterexample, logit_gradient, loss, minimiser, ratio

EXERCISES = tuple(part.EXERCISE for part in (loss, logit_gradient, ratio, minimiser, counterexample))
