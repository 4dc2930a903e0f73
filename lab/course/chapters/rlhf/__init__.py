"""Notebook 07: RLHF beside DPO, on the same data, at the same KL.

Sources: Schulman et al. 2017 (arXiv 1707.06347), eq. 7; Rafailov et al. 2023 (arXiv 2305.18290), section 6; own
derivations, tests/test_chapter_rlhf.py.
"""

from lab.course.chapters.rlhf import best_of, clipping, equal_kl, gradient, two_worlds

EXERCISES = tuple(part.EXERCISE for part in (gradient, clipping, equal_kl, best_of, two_worlds))
