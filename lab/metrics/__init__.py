"""Quantities of a record: each formula once, a dataset in and a labelled array out."""

from lab.metrics.agreement import COUPLES, calibration_error, couple_accuracy, couple_mask, implicit_rewards
from lab.metrics.beta import flow_margin, leader, leading_beta
from lab.metrics.divergences import divergence
from lab.metrics.falls import fall_from_peak, fall_from_start, falls
from lab.metrics.frontiers import along_kl, past_peak, reward_at_kl, share_of_gain
from lab.metrics.fronts import front_frequency, least_kl, non_dominated
from lab.metrics.gainers import gainers, growth_rank_correlation, mass_gain
from lab.metrics.gradients import (
    gradient_cosine,
    gradient_log_norm,
    log_gradient_ratio,
    pair_gradient_log_magnitude,
)
from lab.metrics.judges import counted, judge_agreement, judged_win_rate, labeller_agreement, rank_correlation
from lab.metrics.judging import labelled_win_rate, tempered, win_rate, win_rate_against_chosen
from lab.metrics.kinds import KINDS, gained_share_by_kind, mass_by_kind, response_kind
from lab.metrics.laws import flow_time, interference, largest_unseen_rise, step_change, unseen_change
from lab.metrics.levels import when_reached
from lab.metrics.movers import MOVERS, mass_moved, moved_by
from lab.metrics.pairs import (
    accuracy,
    chosen_implicit_reward,
    chosen_log_prob,
    chosen_log_ratio,
    chosen_prob,
    log_ratio_margin,
    margin,
    over_pairs,
    over_prompts,
    reference_chosen_log_prob,
    reference_rejected_log_prob,
    rejected_implicit_reward,
    rejected_log_prob,
    rejected_log_ratio,
    rejected_prob,
    total_loss,
)
from lab.metrics.probabilities import (
    entropy,
    expected_reward,
    kl_from_reference,
    log_ratio,
    log_unseen_mass,
    prob,
    unseen_mask,
    unseen_mass,
)
from lab.metrics.pushes import log_push_ratio, remaining_push, total_push
from lab.metrics.running import below_peak, running_mean
from lab.metrics.steps import chosen_per_rejected_nat
from lab.metrics.stopping import patience_stop

__all__ = [
    "COUPLES",
    "KINDS",
    "MOVERS",
    "accuracy",
    "along_kl",
    "below_peak",
    "calibration_error",
    "chosen_implicit_reward",
    "chosen_log_prob",
    "chosen_log_ratio",
    "chosen_per_rejected_nat",
    "chosen_prob",
    "counted",
    "divergence",
    "couple_accuracy",
    "couple_mask",
    "entropy",
    "fall_from_peak",
    "fall_from_start",
    "falls",
    "expected_reward",
    "flow_margin",
    "flow_time",
    "front_frequency",
    "gained_share_by_kind",
    "gainers",
    "gradient_cosine",
    "gradient_log_norm",
    "growth_rank_correlation",
    "implicit_rewards",
    "interference",
    "judge_agreement",
    "judged_win_rate",
    "kl_from_reference",
    "labelled_win_rate",
    "labeller_agreement",
    "largest_unseen_rise",
    "leader",
    "leading_beta",
    "least_kl",
    "log_gradient_ratio",
    "log_push_ratio",
    "log_ratio",
    "log_ratio_margin",
    "log_unseen_mass",
    "margin",
    "mass_by_kind",
    "mass_gain",
    "mass_moved",
    "moved_by",
    "non_dominated",
    "over_pairs",
    "over_prompts",
    "pair_gradient_log_magnitude",
    "past_peak",
    "patience_stop",
    "prob",
    "rank_correlation",
    "reference_chosen_log_prob",
    "reference_rejected_log_prob",
    "rejected_implicit_reward",
    "rejected_log_prob",
    "rejected_log_ratio",
    "rejected_prob",
    "remaining_push",
    "response_kind",
    "reward_at_kl",
    "running_mean",
    "share_of_gain",
    "step_change",
    "total_loss",
    "total_push",
    "unseen_change",
    "unseen_mask",
    "unseen_mass",
    "tempered",
    "win_rate",
    "win_rate_against_chosen",
    "when_reached",
]
