"""Notebook 06: losses as functions of two log-ratios, what each does in the end, and fixes with their price.

Sources: Azar et al. 2023 (arXiv 2310.12036), eq. 17; Zhao et al. 2023 (arXiv 2305.10425); Meng et al. 2024 (arXiv
2405.14734), eq. 6; Pal et al. 2024 (arXiv 2402.13228); Yan et al. 2024 (arXiv 2406.07327), section 3.3.
"""

from lab.course.chapters.losses import dpop, equal_margin, fates, flex, sft_weight, simpo, two_losses

EXERCISES = tuple(part.EXERCISE for part in (two_losses, simpo, fates, equal_margin, dpop, flex, sft_weight))
