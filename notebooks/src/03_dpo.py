# %% [markdown]
# # 03 · DPO: derivation and gradient
#
# *90 minutes · you need: notebooks 01 and 02, derivatives, the DPO paper up to eq. 7 · run time: in the last cell*
#
# RLHF learns a reward from preferences and then climbs it. DPO does both in one step, without ever writing the reward
# down. In this notebook you derive its loss from the last two notebooks, take its gradient by hand, look at that
# gradient in three spaces, and find out when its minimum is the optimum that RLHF was after, and when it is not.
#
# **After it you can**
#
# - derive the DPO loss, and say why the partition function is gone;
# - write its gradient by hand, and say how large it is in which space;
# - say when its minimum is the optimum of the RLHF objective, and when not.

# %%
import numpy as np
import torch

import lab
from lab.course import check, hint, reference, solution
from lab.course.drawings import dpo as drawings
from lab.experiments.attribution import attribute
from lab.experiments.frontiers import optimal_policies
from lab.explorer import twin
from lab.intervals import interval_over_seeds

# %% [markdown]
# ## The world of this notebook
#
# The prompt, the five answers and the reference of notebook 01. A person has compared y4 with y1 and preferred y4.
#
# | symbol | meaning | in code |
# |---|---|---|
# | π_ref(y), π(y) | the reference policy, and a policy in training | `pi_ref`, `pi` |
# | r(y) | the true reward | `reward` |
# | y⁺, y⁻ | the chosen and the rejected response of a pair; π⁺ and π⁻ are their probabilities | `chosen`, `rejected` |
# | Δ(y) | the log-ratio log π(y) − log π_ref(y), in nats; Δ⁺ and Δ⁻ for the pair | `delta` |
# | β > 0 | the price of a nat of KL | `beta` |
# | m | the margin β(Δ⁺ − Δ⁻) | `m` |
# | σ(m) | 1/(1 + e⁻ᵐ) | `1 / (1 + np.exp(-m))` |

# %%
pi_ref = np.array([0.50, 0.25, 0.15, 0.08, 0.02])
pi = np.array([0.30, 0.20, 0.10, 0.25, 0.15])
reward = np.array([0.0, 0.5, -1.0, 1.0, 2.0])
beta = 0.5
chosen, rejected = 3, 0
delta = np.log(pi) - np.log(pi_ref)
print("answer          ", *(f"y{place + 1:<6d}" for place in range(5)))
print("pi_ref          ", *(f"{value:<7.2f}" for value in pi_ref))
print("pi              ", *(f"{value:<7.2f}" for value in pi))
print("delta (nats)    ", *(f"{value:<7.2f}" for value in delta))
print(f"chosen y{chosen + 1}, rejected y{rejected + 1}, beta {beta}")

# %% [markdown]
# ## Predict first
#
# Take a **table**: every response of a prompt has a logit of its own, and nothing else is trained. It learns one pair
# by DPO with plain gradient descent, once with β = 0.1 and once with β = 2, at the same learning rate. What is
# different?
#
# - **(a)** β = 2 separates the pair further: it multiplies everything by more;
# - **(b)** both take the same way through the probabilities; β = 2 goes ahead first and β = 0.1 overtakes it;
# - **(c)** they take different ways, as β weighs KL against preference.
#
# Write your guess down. The picture has the answer.

# %% tags=["slide"]
line = "tabular s1,s2,s3,s4 dpo beta=0.1,0.5,2 sgd lr=1 steps=400 seeds=1 prompts=1 every=4"
record = lab.run(line)
print(line)
lab.show(*drawings.phase_plane(record))

# %% [markdown]
# The names s1 to s4 say where a pair starts: likely (0.45) or unlikely (0.02) under the reference. In s1 both
# responses are likely, in s2 the chosen one is unlikely, in s3 the rejected one, in s4 both.

# %%
margins = lab.metrics.over_pairs(lab.metrics.log_ratio_margin(record), record).sel(scenario="s1").isel(seed=0)
for step in (20, 400):
    print(
        f"step {step:>3}:",
        ", ".join(f"beta {b:g}: {float(margins.sel(beta=b, step=step)):.2f} nats" for b in (0.1, 0.5, 2)),
    )

# %% [markdown]
# It is **(b)**. In a table the way is fixed by the pair alone, and β is a clock: a large β pulls hard at first, and
# the pull dies early. At equal steps a larger β may thus look harsher or gentler, depending on when you look. That
# answers a question that comes up again and again in public trackers, for a table: it depends on the step. (For plain
# descent. Under Adam a larger β was never ahead in our networks:
# [adam_larger_beta_is_gentler](../CLAIMS.md#adam_larger_beta_is_gentler).)
#
# ## Explore
#
# The static picture shows one setting of the explorer below it: a table in s2, where the chosen response starts
# unlikely. Look at the lower right panel, which takes the next step apart. Then move the cursor, change β, and let
# only the chosen or only the rejected term push.

# %%
line = "tabular s2 dpo beta=0.1 sgd lr=5 steps=150 seeds=1"
lab.show(*twin(line, step=10))

# %%
lab.explore("tabular s2 dpo beta=0.1 sgd lr=5 steps=150 seeds=1")

# %% [markdown]
# ## Derive the loss, line by line
#
# **Line 1.** Notebook 01 ended with the optimum of E r − β KL, solved for the reward:
#
# $$r(y) = \beta \log \frac{\pi^*(y)}{\pi_\mathrm{ref}(y)} + \beta \log Z$$

# %%
tilted = pi_ref * np.exp(reward / beta)
Z = tilted.sum()
pi_star = tilted / Z
left, right = reward, beta * np.log(pi_star / pi_ref) + beta * np.log(Z)
print("left      ", np.round(left, 6))
print("right     ", np.round(right, 6))
print(f"largest difference {np.abs(left - right).max():.0e}")

# %% [markdown]
# **Line 2.** Read it backwards. *Every* policy π with the reference's support is the optimum for some reward, namely
# for its own **implicit reward** βΔ(y). Tilt the reference by it and π comes back:
#
# $$\pi(y) = \pi_\mathrm{ref}(y)\, e^{\hat r(y)/\beta}, \qquad
# \hat r(y) = \beta \log \frac{\pi(y)}{\pi_\mathrm{ref}(y)}$$
#
# So to search for a reward and to search for a policy is one and the same search. That is the idea of DPO.

# %%
implicit_reward = beta * delta
left, right = pi, pi_ref * np.exp(implicit_reward / beta)
print("left      ", np.round(left, 6))
print("right     ", np.round(right, 6))
print(f"largest difference {np.abs(left - right).max():.0e}")

# %% [markdown]
# **Line 3.** Notebook 02: Bradley–Terry makes preferences of rewards, P(y⁺ ≻ y⁻) = σ(r(y⁺) − r(y⁻)). Put line 1 in
# for both rewards. The term β log Z stands in both, and is gone:
#
# $$P(y^+ \succ y^-) = \sigma\!\left( \beta \log\frac{\pi^*(y^+)}{\pi_\mathrm{ref}(y^+)} -
# \beta \log\frac{\pi^*(y^-)}{\pi_\mathrm{ref}(y^-)} \right)$$
#
# Over texts Z is a sum that nobody can compute. Here we can, only to see that it does not matter.

# %%
left = 1 / (1 + np.exp(-(reward[chosen] - reward[rejected])))
log_ratio_star = np.log(pi_star) - np.log(pi_ref)
right = 1 / (1 + np.exp(-beta * (log_ratio_star[chosen] - log_ratio_star[rejected])))
print(f"left {left:.12f}   right {right:.12f}   difference {left - right:.0e}")
print(f"beta log Z would have been {beta * np.log(Z):.4f} in both rewards")

# %% [markdown]
# **Line 4.** We do not know π*. We have a policy π, and a label. The likelihood that π's implicit reward gives the
# label is σ(m), and its negative logarithm is the **DPO loss**:
#
# $$\ell = -\log \sigma(m), \qquad m = \beta\,(\Delta^+ - \Delta^-)$$
#
# On the left the Bradley–Terry loss of notebook 02 with the implicit reward, on the right the objective of this
# package.

# %%
left = np.log(1 + np.exp(-(implicit_reward[chosen] - implicit_reward[rejected])))
log_pi, log_pi_ref = np.log(pi), np.log(pi_ref)
four = (log_pi[chosen], log_pi[rejected], log_pi_ref[chosen], log_pi_ref[rejected])
pairs = lab.PairLogProbs(*(torch.tensor([[value]]) for value in four))
right = lab.DPO(beta).loss(pairs).item()
print(f"left {left:.12f}   right {right:.12f}   difference {left - right:.0e}")
print(f"at the reference, where m = 0, the loss is log 2 = {np.log(2):.6f}")

# %% [markdown]
# ## Exercise: the loss
#
# Real responses are rows of tokens, and their log-probabilities are sums. Write the loss for that case, so that you
# could use it.

# %% exercise 3.1

# %%
check("3.1", dpo_loss)

# %% [markdown]
# If you are stuck, run `hint("3.1")`, more than once if need be. `solution("3.1")` shows one solution. Cells further
# down use `reference("3.1")` and its like, so that they run even if your own answer does not.
#
# ## Derive the gradient, line by line
#
# The same loss is steep in one space and flat in another. A step is made in the parameters; the papers' arguments are
# made in probabilities. So it pays to know them apart.
#
# **Line 5. In log-probabilities.** The loss is a function of m, with dℓ/dm = −σ(−m):
#
# $$\frac{\partial \ell}{\partial \log \pi^+} = -\beta\,\sigma(-m) = -s, \qquad
# \frac{\partial \ell}{\partial \log \pi^-} = +s$$
#
# The pushes are **equal and opposite**, always. Call s = βσ(−m) *the push*. It is β/2 at the reference, near β for a
# pair in the wrong order, and it vanishes as the margin grows. On the left finite differences of the loss, on the
# right the formula.

# %%
loss = reference("3.1")
rows = [np.array([[value]]) for value in four]
small = 1e-6
left = []
for place in (0, 1):
    up, down = ([row + sign * small * (at == place) for at, row in enumerate(rows)] for sign in (1, -1))
    left.append((loss(*up, beta)[0] - loss(*down, beta)[0]) / (2 * small))
m = beta * (delta[chosen] - delta[rejected])
s = beta / (1 + np.exp(m))
for name, one, other in zip(("chosen  ", "rejected"), left, (-s, s), strict=True):
    print(f"{name}  left {one:+.9f}   right {other:+.9f}   difference {one - other:.0e}")

# %% [markdown]
# **Line 6. In logits.** A policy is made of logits z by a softmax, log π(y) = z(y) − log Σ exp z. In the *difference*
# log π⁺ − log π⁻ the normaliser cancels, as Z did before. What is left of the gradient is for you:

# %% exercise 3.2

# %%
check("3.2", logit_gradient)

# %%
gradient_in_logits = reference("3.2")
logits = np.log(pi) + 3.0
right = gradient_in_logits(logits, np.log(pi_ref), chosen, rejected, beta)
left = []
for place in range(5):
    ends = []
    for sign in (1, -1):
        moved = logits + sign * small * (np.arange(5) == place)
        log_moved = moved - np.logaddexp.reduce(moved)
        values = (log_moved[chosen], log_moved[rejected], log_pi_ref[chosen], log_pi_ref[rejected])
        ends.append(loss(*(np.array([[value]]) for value in values), beta)[0])
    left.append((ends[0] - ends[1]) / (2 * small))
print("left  (finite differences)", np.round(left, 6) + 0.0)
print("right (by hand)           ", np.round(right, 6))
print(f"largest difference {np.abs(left - right).max():.0e}")

# %% [markdown]
# Only two logits are pushed: the chosen one up, the rejected one down, equally hard. No unseen logit moves in a
# table. Even so their *probabilities* move, because the softmax shares what is left.
#
# Here are three steps in slow motion. A term by itself, such as the gradient of −log π⁺ alone, pulls on every logit;
# in the sum of the two that cancels. The black bars are the sum, and all unseen responses move alike.

# %%
line = "tabular s2 dpo beta=0.1 sgd lr=5 steps=150 seeds=1 prompts=1 responses=6 spread=even"
print(line)
lab.show(*drawings.slow_motion(lab.run(line), attribute(line), (0, 10, 100)))

# %% [markdown]
# At first the unseen responses *gain*: the rejected one has more to give up than the chosen one, still small, can
# take. Later they pay. Notebook 04 makes a theorem of that.
#
# **Line 7. In probabilities.** Count π⁺ and π⁻ as two free variables, as the 3D-Properties paper does. One more chain
# rule, ∂ log π/∂π = 1/π:
#
# $$\frac{\partial \ell}{\partial \pi^+} = -\frac{s}{\pi^+}, \qquad
# \frac{\partial \ell}{\partial \pi^-} = +\frac{s}{\pi^-}$$

# %%
pushed = []
for place, value in ((0, pi[chosen]), (1, pi[rejected])):
    ends = [
        loss(
            *(np.array([[np.log(value + sign * small)]]) if at == place else row for at, row in enumerate(rows)), beta
        )[0]
        for sign in (1, -1)
    ]
    pushed.append((ends[0] - ends[1]) / (2 * small))
for name, one, other in zip(("chosen  ", "rejected"), pushed, (-s / pi[chosen], s / pi[rejected]), strict=True):
    print(f"{name}  left {one:+.8f}   right {other:+.8f}   difference {one - other:.0e}")

# %% exercise 3.3

# %%
check("3.3", log_gradient_ratio)

# %% [markdown]
# Put the ratio to the test in a real training: a network instead of a table, 24 seeds, 500 steps. Each gradient is
# made of what the training recorded, the objective's pushes on the two responses, and divided by its probability.

# %%
line = "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24 every=5"
network = lab.run(line)
gradients = lab.metrics.pair_gradient_log_magnitude(network)
measured = gradients.sel(term="rejected") - gradients.sel(term="chosen")
by_law = lab.metrics.chosen_log_prob(network) - lab.metrics.rejected_log_prob(network)
print(line)
print(f"largest difference over {measured.size:,} states: {float(abs(measured - by_law).max()):.0e}")
ratio = lab.metrics.over_pairs(measured, network).isel(step=-1)
print(
    f"|dl/dpi-| over |dl/dpi+| at the end: 10 to the power {float(ratio.median()) / np.log(10):.0f}, median of 24 seeds"
)
print("in log-probabilities: 1, always")

# %% [markdown]
# The law holds to rounding ([ratio_law](../CLAIMS.md#ratio_law): reproduced). Mind what it says and what not. In
# probabilities the rejected response's gradient comes to dominate by tens of powers of ten. In log-probabilities the
# two are equal at every step, and a step is not made in probabilities at all. The same is true of "the rejected
# gradient explodes": [in probability yes, in log-probability, logits and parameters
# no](../CLAIMS.md#rejected_gradient_explodes).
#
# ## Where is the minimum?
#
# One pair with one label has no minimum: m + eᵐ = 1 + 2β²t grows without end. (That is line 5 of notebook 02, slowed
# by β twice, as both the margin and the push carry it; the circles in the first picture are this formula.) So
# suppose the data of the theory: every couple of responses is compared, by many people, and the labels follow
# Bradley–Terry with the true reward.
#
# **Line 8.** With P = P(i ≻ j), and w > 0 for how often it is compared, a couple (i, j) adds to the loss
#
# $$w \left[ -P \log \sigma(m) - (1 - P) \log \sigma(-m) \right]$$
#
# That is a cross-entropy, least at σ(m) = P. What policy has that margin for every couple? You are given P, not r:

# %% exercise 3.4

# %%
check("3.4", dpo_minimiser)

# %%
minimiser = reference("3.4")
wins = 1 / (1 + np.exp(reward - reward[:, None]))
found = np.exp(minimiser(wins, np.log(pi_ref), beta))
print("left:  DPO's minimum, from preferences alone ", np.round(found, 6))
print("right: the optimum of RLHF, from the reward  ", np.round(pi_star, 6))
print(f"largest difference {np.abs(found - pi_star).max():.0e}")

# %% [markdown]
# The minimum of DPO's loss **is** the optimum of RLHF, and it does not depend on how often each couple is compared.
# Now train it, rather than solve it: four prompts, ten responses, rewards and references drawn for each of 24 seeds.
# And then break the assumptions, one at a time.

# %%
theory = "tabular open dpo beta=0.5 momentum lr=30 steps=1000 seeds=24 keep=none truth=normal every=1000"
print("line:", theory)
print("KL(optimum || DPO) in nats, median and 95 % interval of 24 seeds")
for words, what in (
    ("", "all couples, Bradley-Terry labels"),
    ("coverage=9", "1 response of 10 is never compared"),
    ("data=sampled comparisons=256", "256 comparisons a prompt"),
    ("judge=noisy agreement=0.8", "labels right 80 % of the time"),
    ("judge=noisy agreement=1", "labels always right"),
):
    ended = lab.run(f"{theory} {words}").isel(step=-1)
    exact = optimal_policies(ended, [0.5])["log_prob"].isel(beta=0)
    apart = lab.metrics.divergence(exact, ended["log_prob"]).mean("prompt")
    middle, low, high = (float(each) for each in interval_over_seeds(apart))
    print(f"{what:37} {middle:9.1e}  [{low:.1e}, {high:.1e}]   + {words or '(nothing)'}")

# %% [markdown]
# "DPO optimises the same objective as RLHF" is a theorem about the first row (its numbers, of either sign, are rounding). Each of the other rows is closer to a
# real data set. Look at the last one: perfect labels are the worst of all, because no finite margin explains a label
# that is *never* wrong; the run only stops because its steps do. (See
# [dpo_recovers_the_optimum](../CLAIMS.md#dpo_recovers_the_optimum).)
#
# Now break it yourself, on purpose, with labels whose majority is always right.

# %% exercise 3.5

# %%
check("3.5", counterexample)

# %% [markdown]
# ## What this says about a real run
#
# **A loss near 0 says nothing about π⁺.** The loss sees the log-ratio margin and nothing else. Here are four policies
# over five responses with the same loss to the last digit; they start from the same reference.

# %%
print("loss     pi+       pi-       the other three")
for log_chosen in np.log([0.9, 0.3, 0.01, 1e-6]):
    log_rejected = log_chosen - (np.log(pi_ref[chosen]) - np.log(pi_ref[rejected])) - 40.0
    given = (log_chosen, log_rejected, log_pi_ref[chosen], log_pi_ref[rejected])
    value = loss(*(np.array([[each]]) for each in given), 0.1)[0]
    others = 1 - np.exp(log_chosen) - np.exp(log_rejected)
    print(f"{value:.4f}   {np.exp(log_chosen):<8.2g}  {np.exp(log_rejected):<8.1e}  {others:.6f}")

# %% [markdown]
# A trainer's log has `loss`, `rewards/margins` and `rewards/accuracies`, which all look at the margin, and
# `rewards/chosen`, which is βΔ⁺. Of these only the last moves with π⁺. It starts at 0, and below 0 the chosen
# response has become *less* likely than it was under the reference. Here is such a log for the network above, medians
# of 24 seeds:

# %%
print("step   loss     rewards/margins  rewards/accuracies  rewards/chosen  | pi+")
for step in (0, 50, 100, 200, 500):
    now = network.sel(step=[step])
    values = [
        lab.metrics.total_loss(now),
        lab.metrics.over_pairs(lab.metrics.margin(now), now),
        lab.metrics.accuracy(now),
    ]
    values += [lab.metrics.over_pairs(lab.metrics.chosen_implicit_reward(now), now)]
    values += [lab.metrics.over_pairs(lab.metrics.chosen_prob(now), now)]
    log = [float(each.median()) for each in values]
    print(f"{step:4d}   {log[0]:.5f}  {log[1]:<15.3f}  {log[2]:<18.2f}  {log[3]:<+14.4f}  | {log[4]:.3f}")

# %% [markdown]
# Loss, margin and accuracy only ever improve (at step 0 all margins are 0, and a tie counts as wrong).
# `rewards/chosen` rises, falls, and ends below 0, all of it within a tenth, for β makes it look small: divide it by β
# before you look, and plot `logps/chosen` beside it. It ends below 0 while the mean of π⁺ ends above its start,
# because it is a mean of logarithms, in which the prompts that lost most weigh most. And no column says *where* the
# mass went. That is notebook 04.
#
# ## Five questions

# %% [markdown]
# **1.** The reference gives y⁺ probability 0.001 and y⁻ 0.3. At step 0, what is the loss, and which of the two logits
# is pushed harder?
#
# <details><summary>Answer</summary>
#
# log 2, and neither. At step 0 the policy is the reference, so m = 0; the loss does not see how likely the two are.
# The pushes are −β/2 and +β/2.
#
# </details>

# %% [markdown]
# **2.** Why does DPO need no samples from the policy while it trains?
#
# <details><summary>Answer</summary>
#
# The objective of RLHF is an expectation under π. DPO replaces it by the likelihood of given labels, an expectation
# under the data. The reward that would have to be asked about new samples has become the policy itself (line 2).
#
# </details>

# %% [markdown]
# **3.** A paper shows |∂ℓ/∂π⁻| growing to 10³⁰. A colleague says the update must explode. What do you answer?
#
# <details><summary>Answer</summary>
#
# It is s/π⁻ with π⁻ near 10⁻³⁰ or below. A step is made in the parameters, through the logits, and there the softmax
# multiplies by π⁻ again: what arrives is s, and s goes to 0.
#
# </details>

# %% [markdown]
# **4.** Each pair of your data set has been labelled once. Can the minimum of DPO's loss be the optimum of RLHF?
#
# <details><summary>Answer</summary>
#
# Where no couple was labelled both ways and preferences have no cycle, the loss has no minimum at all: margins grow
# for ever, and what you get is decided by steps, learning rate and optimiser. The theorem speaks of probabilities of
# labels, not of one label each.
#
# </details>

# %% [markdown]
# **5.** In the first row of the last table couples are compared as often as the reference draws them. Would the
# minimum move if all couples were compared equally often? And in the row with 256 comparisons?
#
# <details><summary>Answer</summary>
#
# In the first row no: σ(m) = P can be met for all couples at once, whatever their weights. With finite data, or
# labels that are not Bradley–Terry, not all couples can have their best margin, and the weights decide which of them
# give way.
#
# </details>

# %%
lab.course.stamp()
