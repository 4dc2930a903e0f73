# %% [markdown]
# # 01 · The RLHF objective and its optimum in closed form
#
# *60 minutes · you need: probabilities, logarithms, and the DPO paper up to its equation 4 · the last cell prints the run time*
#
# DPO begins with a problem that has an exact answer: which policy earns the most reward, if every step away from a reference policy
# costs something? In this notebook you derive that answer, compute it without an overflow, and learn to read the one
# number that it depends on, β.
#
# **After it you can**
#
# - weigh E r against KL, and say where Z goes;
# - derive the optimum and compute it safely;
# - read β as a price and as a temperature.

# %%
import numpy as np

import lab
from lab.course import check, hint, reference, solution
from lab.course.drawings import optimum as drawings

# %% [markdown]
# ## The world of this notebook
#
# One prompt, five answers. Nothing is hidden, and nothing is sampled: each expectation is a sum over five numbers.
#
# | symbol | meaning | in code |
# |---|---|---|
# | y | a response | a place in an array |
# | π_ref(y) | the reference policy: where training starts | `pi_ref` |
# | π(y) | any policy | `pi` |
# | r(y) | the true reward of a response | `reward` |
# | E r | the expected reward of a policy, Σ π(y) r(y) | `expected_reward` |
# | β > 0 | the price of leaving the reference | `beta` |
# | KL(π ‖ π_ref) | Σ π(y) log(π(y)/π_ref(y)), in nats | `kl` |
# | J(π) | the objective, E r − β KL(π ‖ π_ref) | `J` |

# %%
pi_ref = np.array([0.50, 0.25, 0.15, 0.08, 0.02])
reward = np.array([0.0, 0.5, -1.0, 1.0, 2.0])
print("answer          ", *(f"y{place + 1:<6d}" for place in range(5)))
print("pi_ref          ", *(f"{value:<7.2f}" for value in pi_ref))
print("reward          ", *(f"{value:<7.1f}" for value in reward))
print(f"expected reward of the reference: {pi_ref @ reward:.3f}")

# %% [markdown]
# The reference likes y1 best and almost never gives y5, the answer that earns most.
#
# ## Predict first
#
# The objective of RLHF is
#
# $$J(\pi) = \mathbb{E}_{y \sim \pi}\, r(y) \;-\; \beta\, \mathrm{KL}(\pi \,\|\, \pi_\mathrm{ref}).$$
#
# At β = 1 its optimum multiplies the odds of y5 against y1 by some factor f. Now β is halved. The odds are then multiplied by
#
# - **(a)** f again: the best answer is the best answer, whatever β;
# - **(b)** 2 f: half the price, twice the effect;
# - **(c)** f².
#
# Write your guess down. The answer comes below the picture.

# %% tags=["slide"]
lab.show(*drawings.tilts(pi_ref, reward, betas=(2, 1, 0.5, 0.2)))

# %% [markdown]
# On the left, each β makes another policy of the same reference. On the right each of them is one point: what it earns, and how far it
# went. The next cell has the answer.

# %%
odds = {}
for beta in (1.0, 0.5):
    tilted = pi_ref * np.exp(reward / beta)
    odds[beta] = (tilted[4] / tilted[0]) / (pi_ref[4] / pi_ref[0])
    print(f"beta = {beta}: the odds of y5 against y1 are multiplied by {odds[beta]:.3f}")
print(f"the square of the first factor: {odds[1.0] ** 2:.3f}")

# %% [markdown]
# It is **(c)**. A policy is tilted by exp(r/β), so β acts as a temperature does: rewards are measured in units of β, and halving
# the unit squares every factor. That is why a small β is so much more than "a bit less careful".
#
# ## Explore
#
# Now a policy that has to *find* its optimum by training. The explorer of this course trains on pairs of a chosen and a rejected response; how
# that works is the matter of notebook 03. All that you need here: the judge of these pairs prefers the chosen response 8 times
# out of 10. By the model of notebook 02 that is a reward difference of log(8/2). So the optimum multiplies the odds of chosen against
# rejected by exp(log 4/β).
#
# The line below says it in words that you will meet again: a table with a logit for each response (`tabular`), pairs whose chosen
# response starts unlikely (`s2`), a loss for a judge who is wrong 2 times out of 10 (`cdpo smoothing=0.2`), β, plain gradient descent
# (`sgd`) with its learning rate, 100 steps, one seed.
#
# First as a picture, then to play with. Change β and see where training ends. Change the learning rate and see when it is there.

# %%
line = "tabular s2 cdpo smoothing=0.2 beta=0.5 sgd lr=5 steps=100 seeds=1"
lab.show(*lab.explorer.twin(line, step=5))

# %%
lab.explore("tabular s2 cdpo smoothing=0.2 beta=0.5 sgd lr=5 steps=100 seeds=1")

# %% [markdown]
# By what were the odds of chosen against rejected multiplied when training has ended? A comma in a line asks for both β at once.

# %%
line = "tabular s2 cdpo smoothing=0.2 beta=0.5,1 sgd lr=20 steps=300 seeds=1 keep=none"
record = lab.run(line)
moved = lab.metrics.over_pairs(lab.metrics.log_ratio_margin(record), record)
moved = moved.isel(step=-1, seed=0)
for beta in (1.0, 0.5):
    left, right = float(np.exp(moved.sel(beta=beta))), np.exp(np.log(4) / beta)
    print(f"beta = {beta}: odds were multiplied by {left:.6f}; exp(log 4 / beta) = {right:.6f}")

# %% [markdown]
# ## Derive it, line by line
#
# Each line below is followed by a cell that computes its two sides for some policy π: not the best one, just one.

# %%
pi = np.array([0.30, 0.20, 0.10, 0.25, 0.15])
beta = 0.5
expected_reward = (pi * reward).sum()
kl = (pi * np.log(pi / pi_ref)).sum()
J = expected_reward - beta * kl
print(f"E r = {expected_reward:.4f},  KL = {kl:.4f} nats,  J = E r - beta KL = {J:.4f}")

# %% [markdown]
# **Line 1.** Write both terms as one sum, and the reward as a logarithm, r = β log exp(r/β):
#
# $$J(\pi) = -\beta \sum_y \pi(y) \left[ \log \pi(y) - \log\left( \pi_\mathrm{ref}(y)\, e^{r(y)/\beta} \right) \right]$$

# %%
left = J
right = -beta * (pi * (np.log(pi) - np.log(pi_ref * np.exp(reward / beta)))).sum()
print(f"left {left:.12f}   right {right:.12f}   difference {left - right:.0e}")

# %% [markdown]
# **Line 2.** The bracket nearly is a KL divergence; only π_ref exp(r/β) does not sum to 1. Call its sum Z, and what it becomes when it is
# divided by Z, π*:
#
# $$Z = \sum_y \pi_\mathrm{ref}(y)\, e^{r(y)/\beta}, \qquad \pi^*(y) = \frac{1}{Z}\, \pi_\mathrm{ref}(y)\, e^{r(y)/\beta}$$

# %%
tilted = pi_ref * np.exp(reward / beta)
Z = tilted.sum()
pi_star = tilted / Z
print(f"the tilted reference sums to Z = {Z:.6f}, pi* to {pi_star.sum():.6f}")
print("pi* =", np.round(pi_star, 4))

# %% [markdown]
# **Line 3.** Put π* in. The factor Z leaves the sum, because Σ π = 1:
#
# $$J(\pi) = \beta \log Z \;-\; \beta\, \mathrm{KL}(\pi \,\|\, \pi^*)$$

# %%
left = J
right = beta * np.log(Z) - beta * (pi * np.log(pi / pi_star)).sum()
print(f"left {left:.12f}   right {right:.12f}   difference {left - right:.0e}")

# %% [markdown]
# **Line 4.** Done. The first term does not contain π. The second is never above 0, and is 0 for π = π* alone. So π* is *the* optimum, and
# what it reaches is β log Z:
#
# $$\max_\pi J(\pi) = J(\pi^*) = \beta \log Z$$
#
# Check it against twenty thousand policies that are drawn at random: none may reach β log Z.

# %%
left = (pi_star * reward).sum() - beta * (pi_star * np.log(pi_star / pi_ref)).sum()
right = beta * np.log(Z)
print(f"left {left:.12f}   right {right:.12f}   difference {left - right:.0e}")
drawn = np.random.default_rng(0).dirichlet(np.ones(5), size=20_000)
drawn_J = drawn @ reward - beta * (drawn * np.log(drawn / pi_ref)).sum(1)
below = right - drawn_J.max()
print(f"largest J of {len(drawn):,} random policies: {drawn_J.max():.6f}, {below:.6f} below")

# %% [markdown]
# **Line 5.** Solve for the reward. This line is the hinge of DPO:
#
# $$r(y) = \beta \log \frac{\pi^*(y)}{\pi_\mathrm{ref}(y)} + \beta \log Z$$
#
# Z is hard to come by when responses are texts: it is a sum over all of them. But it is the *same* number for every response of a
# prompt. In a **difference** of two rewards it cancels, and preferences only know differences. Notebook 02 makes rewards of
# preferences; notebook 03 puts the two together.

# %%
left = reward
right = beta * np.log(pi_star / pi_ref) + beta * np.log(Z)
without_Z = beta * np.log(pi_star / pi_ref)
print("left ", left)
print("right", np.round(right, 12), f"  largest difference {np.abs(left - right).max():.0e}")
print(f"r(y5) - r(y1): {reward[4] - reward[0]:.4f}; without Z: {without_Z[4] - without_Z[0]:.4f}")

# %% [markdown]
# ## Exercises: the optimum and the gap
#
# The cells above compute exp(r/β) as it stands. With rewards of a few thousand that overflows; and probabilities of real texts are so
# small that they underflow. So we compute with logarithms, here and in the whole course.

# %% exercise 1.1

# %%
check("1.1", tilt)

# %% [markdown]
# If you are stuck, run `hint("1.1")`, more than once if need be. `solution("1.1")` shows one solution. Cells further down use
# `reference("1.1")`, the course's own solution, so that they run even if yours does not.
#
# The next task is line 3 in code. It says by how much *any* policy falls short.

# %% exercise 1.2

# %%
check("1.2", gap)

# %% [markdown]
# ## The two ends of β
#
# Before you write the next function, predict: the reference gives some response probability 0, and that response has the largest reward of
# all. What does the optimum give it as β → 0?

# %% exercise 1.3

# %%
check("1.3", limits)

# %%
course_tilt = reference("1.1")
with np.errstate(divide="ignore"):
    log_ref_without_y5 = np.log(np.array([0.50, 0.25, 0.17, 0.08, 0.0]))
for beta in (1.0, 0.1, 0.01):
    pi_star = np.exp(course_tilt(log_ref_without_y5, reward, beta))
    print(f"beta = {beta:<5} pi* =", np.round(pi_star, 4))

# %% [markdown]
# A response that the reference never gives stays impossible at every β: its KL would be infinite. RLHF, and DPO with it, chooses among
# what the reference can do.
#
# ## β is a price
#
# Over β the optimum moves along a curve, the **frontier** of reward and KL that you saw in the picture. How steep is it? Compute the optimum
# for two nearby β and compare the extra reward with the extra KL:

# %%
log_ref = np.log(pi_ref)
for beta in (2.0, 1.0, 0.5, 0.2):
    near, far = (course_tilt(log_ref, reward, beta * factor) for factor in (1.001, 0.999))
    more_reward = (np.exp(far) - np.exp(near)) @ reward
    more_kl = np.exp(far) @ (far - log_ref) - np.exp(near) @ (near - log_ref)
    print(f"beta = {beta:<4} extra reward / extra KL = {more_reward / more_kl:.5f}")

# %% [markdown]
# **The slope of the frontier is β.** At the optimum the last nat of KL buys β of reward: exactly its price. A policy that gets more for a nat
# has gone too short a way, one that gets less has gone too far. To prove it, find how fast each of the two moves with β, and divide:

# %% exercise 1.4

# %%
check("1.4", frontier_speed)

# %% [markdown]
# How far a policy may go is often decided first: "no more than so many nats". Then β is not chosen but found.

# %% exercise 1.5

# %%
check("1.5", beta_for)

# %%
course_beta = reference("1.5")
for budget in (0.1, 0.5, 1.0, 2.0):
    beta = course_beta(budget, log_ref, reward)
    earned = np.exp(course_tilt(log_ref, reward, beta)) @ reward
    print(f"{budget} nats: beta = {beta:.4f}, expected reward {earned:.4f}")

# %% [markdown]
# The first nat buys more than the second: the frontier bends. Plans like "let us spend twice the KL" should count on less than twice the gain.
#
# ## What this says about a real run
#
# **β is not a learning rate.** It is a word of the objective and decides *where* training ends. The learning rate decides *when*
# it is there. The next cells climb J with its exact gradient (`pg`), in 4 prompts with 10 responses each, with rewards and references drawn
# anew for each seed, at two β and two learning rates.

# %%
line = "tabular open pg beta=0.2,1 sgd lr=1,5 steps=1500 seeds=20 every=15 keep=none truth=normal"
record = lab.run(line)
print(line)
lab.show(*drawings.price_and_pace(record))

# %%
from lab.experiments.frontiers import optimal_policies

kl = lab.metrics.kl_from_reference(record).isel(step=-1).mean("prompt").median("seed")
exact = optimal_policies(record.isel(lr=0, beta=0, drop=True), record["beta"].values.tolist())
exact_kl = lab.metrics.kl_from_reference(exact).mean("prompt").median("seed")
print("KL from the reference at the end, nats, medians of 20 seeds")
for beta in (0.2, 1.0):
    slow, fast = (float(kl.sel(beta=beta, lr=rate)) for rate in (1.0, 5.0))
    print(
        f"beta = {beta}: {slow:.3f} with lr = 1, {fast:.3f} with lr = 5;",
        f"the exact optimum has {float(exact_kl.sel(beta=beta)):.3f}",
    )

# %% [markdown]
# So when a run of yours drifts too far from its reference, there are two different cures. A larger β moves the goal nearer. A smaller
# learning rate, or fewer steps, leaves the goal where it is and stops on the way.
#
# And a warning for the notebooks to come. This was the *population* objective, with the true reward. DPO never sees it. It sees
# pairs, one label each, and then the optimum of its loss can be another one: with labels that are always right it lies at infinity,
# whatever β is. β then does not decide where training ends any more, because training does not end.
# Notebook 02 shows where that begins.
#
# ## Five questions

# %% [markdown]
# **1.** Add 10 to the reward of every response of a prompt. What changes in π*, in Z and in max J?
#
# <details><summary>Answer</summary>
#
# π* stays. Z is multiplied by exp(10/β), and max J = β log Z grows by 10. The optimum only knows differences of rewards within a prompt.
#
# </details>

# %% [markdown]
# **2.** A colleague doubles all rewards and doubles β. What happens to the optimum?
#
# <details><summary>Answer</summary>
#
# Nothing: only r/β enters. β has the unit of the reward per nat, so a β without its reward scale says nothing.
#
# </details>

# %% [markdown]
# **3.** Two policies have the same KL from π*. Do they have the same objective J?
#
# <details><summary>Answer</summary>
#
# Yes, if the KL is KL(π ‖ π*): J = β log Z − β KL(π ‖ π*). They may have very different E r and KL(π ‖ π_ref).
#
# </details>

# %% [markdown]
# **4.** A policy stands on the frontier, and one more nat of KL would bring it 0.3 of reward. For which β is it the optimum? What should it
# do if β is 0.1?
#
# <details><summary>Answer</summary>
#
# For β = 0.3, the slope of the frontier there. If a nat costs 0.1 and brings 0.3, it should go on, to where the frontier is flatter.
#
# </details>

# %% [markdown]
# **5.** Why can DPO do without Z, although π* contains it?
#
# <details><summary>Answer</summary>
#
# Z depends on the prompt and not on the response. A preference depends on the difference of two rewards of one prompt, and there β log Z
# cancels.
#
# </details>

# %%
lab.course.stamp()
