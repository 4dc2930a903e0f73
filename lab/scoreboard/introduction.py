"""What stands at the top of SCOREBOARD.md: what it is, and how it is read."""

from __future__ import annotations

from lab.properties import Thresholds
from lab.scoreboard.entries import ENTRIES
from lab.scoreboard.settings import BETA, PROGRESS, SEEDS, SETTINGS, YARDSTICK


def introduction() -> str:
    """Write what the scoreboard is."""
    return f"""\
# Scoreboard

Every objective that a line of the lab can name, and the variants that defaults hide: {len(ENTRIES)} objectives in
four scenarios, three policies, under two optimisers, {SEEDS} seeds each, held against the three properties: drastic
drop, degradation, dispersion. Objectives move at different speeds, so they are compared after equal steps, at equal
margins and at an equal divergence from the reference; one of these alone would be unfair. `python -m lab.scoreboard`
writes this file, and `python -m lab.scoreboard --check` compares it with a new computation. No number and no verdict
in it is typed.

A toy is not a language model: 4 prompts, 10 responses of one token, one pair a prompt, every probability exact.
"""


def reading() -> str:
    """Write how the numbers are read, and the settings behind them."""
    limits = Thresholds()
    near, far, kl = (each.level for each in PROGRESS)
    slow = ", ".join(f"{each.label} ({each.slower:g} times less)" for each in ENTRIES if each.slower > 1)
    rows = "\n".join(
        f"| {setting.name} | {setting.lr:g}, {'for all' if setting.optimizer == 'adam' else 'for DPO'} | "
        f"{setting.steps} | `{setting.line(ENTRIES[0])}` |"
        for setting in SETTINGS
    )
    return f"""\
## How to read it

- **Degradation**: the chosen response ends below its peak by more than {limits.degradation:g}, and the loss went down
  since. **Dispersion**: the unseen mass ends above its minimum by more than {limits.dispersion:g} and above its
  start, and the loss went down since. **Drop**: log π⁻ fell by more than {limits.drop:g} nats beyond the rise of log
  π⁺.
- **A number** is the median of {SEEDS} seeds with its 95 % bootstrap interval. Bold: present, that is the whole
  interval lies above the threshold and the conditions hold with theirs. "?": inconclusive. Plain: absent.
- **Horizons**: the end; where the log-ratio margin, averaged over pairs, first reaches {near:g} and {far:g} nats;
  where the KL from the reference, averaged over prompts, first reaches {kl:g} nats. {near:g} nats lie just short of
  IPO's target (5), {far:g} beyond every finite target. The numbers are those of the seeds that get there; "–" if
  these are fewer than half.
- **Scenarios**: in s1 chosen and rejected response start likely (0.45, on-policy), in s2 the chosen one unlikely
  (0.02, off-policy), in s3 the rejected one, in s4 both.
- **Settings**: β = {BETA:g}, everything else at the defaults of `python -m lab lines`. Adam has one rate for all
  objectives. Under plain gradient descent each has the rate that makes its first step as large as DPO's: rate times
  its push at the start, the largest |∂ℓ/∂log π| of any scenario, is DPO's rate times {YARDSTICK:g}, to two digits. In
  the network {slow} goes slower: its push never weakens, and at that rate it runs to infinity.
- **A push of its own**: the objective still pushes the chosen response up, with 2 % of its first push or more, when
  that one stands 1 nat below the reference and the rejected one is let go (its push has come down to 1e-4 of the
  first).
- **True reward**: standard normal draws that agree with the pairs. No objective sees it.

| setting | learning rate | steps | line of DPO |
| --- | --- | --- | --- |
{rows}
"""
