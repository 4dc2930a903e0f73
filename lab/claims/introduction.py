"""What stands at the top of CLAIMS.md: what it is, and how a verdict is made."""

INTRODUCTION = """\
# Claims

What the 3D-properties paper (Yan et al., arXiv 2406.07327) says about DPO, what this lab measured, and the verdict.
What the DPO paper says itself (Rafailov et al., arXiv 2305.18290) has a table of its own, and so has what the lab found
or derived. `python -m lab.claims` writes this file; no verdict in it is typed. A failed replication is a result and
stands here like any other.

The world is the paper's toy: 4 prompts, 10 responses, one pair a prompt, a three-layer MLP, some 500 epochs. A response
that is on-policy starts at probability 0.45, one that is off-policy at 0.02: in s1 chosen and rejected are on-policy,
in s2 the chosen one is off-policy, in s3 the rejected one, in s4 both. π⁺ and π⁻ are their probabilities; unseen
responses are those that no pair of the prompt names. The paper's code is not public, so what it leaves open, such as
optimiser and width, is varied here. A toy is not a language model: nothing below says what happens in one.

Claims of the DPO paper are put to an open world: a true reward and a reference are drawn, standard normal, for 10
responses to each of 4 prompts; responses of the reference are compared by the Bradley-Terry law, all of them (the
population) or a sample. Expected reward and KL from the reference are exact sums, and so is the optimum beside them.

## How a verdict is made

- A **number** is the median of 24 seeds with its 95 % bootstrap interval. A comparison is a difference taken seed by
  seed.
- An **answer** is "yes" where the whole interval lies on the side asked for, "no" where it lies on the other side,
  "undecided" where it straddles the threshold, "weakly" where the direction is right and the size is not.
- **Sides** ask the same question elsewhere: with another optimiser, width, policy or scenario, in another space, at
  another step. All numbers of a claim stand below under its id, with every experiment line.
- **reproduced**: yes, and no side says no. **reproduced only if**: sides disagree; what tells them apart is named, and
  what fails stands in brackets. **weaker**: the direction only. **not reproduced**: no, and no side says yes.
  **ambiguous in the paper**: measures that its words allow disagree. **inconclusive**: undecided. What the lab says
  holds, holds only if, or does not hold, by the same rules.
"""
