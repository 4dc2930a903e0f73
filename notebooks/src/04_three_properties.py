# %% [markdown]
# # 04 · The three properties: exact in a table, then in a network
#
# *90 minutes · you need: notebook 03, the chain rule, a little linear algebra · run time: in the last cell*
#
# The 3D-Properties paper (Yan et al. 2024, arXiv 2406.07327) names three things that DPO does to a policy: the
# rejected response drops drastically, the chosen one degrades, and probability disperses to responses that no pair
# names. It argues with gradients in probability space. Here you prove what happens in a table, where that argument
# holds and two of the three things do not, and then find out what it takes to see all three.
#
# **After it you can**
#
# - say what a table under DPO can and cannot do, and prove it;
# - define the three properties so that a program can find them;
# - say what shared parameters and the optimiser add, and under which conditions.

# %%
import numpy as np

import lab
from lab.course import check, hint, reference, solution
from lab.course.drawings import three_properties as drawings
from lab.experiments.attribution import attribute
from lab.experiments.running import build_pairwise
from lab.experiments.running import reference as reference_parameters
from lab.intervals import interval_over_seeds
from lab.theory import influence

# %% [markdown]
# ## The world of this notebook
#
# Four prompts with ten responses each, one pair a prompt. All numbers are exact: nothing is sampled from a policy.
#
# | symbol | meaning |
# |---|---|
# | y⁺, y⁻, π⁺, π⁻ | the chosen and the rejected response of a prompt, and their probabilities |
# | u | the mass of the unseen responses, which no pair of the prompt names: 1 − π⁺ − π⁻ |
# | m, σ, β | as in notebook 03: the margin m = β(Δ⁺ − Δ⁻), and σ(m) = 1/(1 + e⁻ᵐ) |
# | s = βσ(−m) | the push: how hard the loss pulls the pair apart |
# | η | the learning rate |
# | δ | how far a step moves the two logits of a pair; ηs for plain descent on one pair |
# | z | the logits, [prompt, response] |
# | e⁺, e⁻ | the vector with a 1 at y⁺, or at y⁻, and 0 elsewhere |
# | Δz, Δ log π | what one step changes; only Δ⁺ and Δ⁻ alone are log-ratios |
# | θ | the parameters of a network |
#
# In the scenario s1 both responses of a pair start at 0.45, and u at 0.10.
#
# ## Predict first
#
# A **table** has a logit for every prompt and response. A **network** turns the prompt into hidden units, and these
# into logits: a step for one prompt moves the others. Both learn the same four pairs by DPO with Adam, until the loss
# is below 0.1. Where does the chosen response end?
#
# - **(a)** near 1 in both: the loss asks for it;
# - **(b)** near 1 in the table; in the network it rises, then falls;
# - **(c)** it falls in both, because the rejected response's gradient explodes.

# %% tags=["slide"]
table_line = "tabular s1 dpo beta=0.1 adam lr=0.1 steps=500 seeds=24 every=5"
network_line = "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24 every=5"
table, network = lab.run(table_line), lab.run(network_line)
print(table_line)
print(network_line)
lab.show(*drawings.side_by_side({"a table": table, "a network": network}))

# %%
for name, record in (("table", table), ("network", network)):
    chosen = lab.metrics.over_pairs(lab.metrics.chosen_prob(record), record)
    loss = lab.metrics.total_loss(record).isel(step=-1)
    middle, low, high = (float(each) for each in interval_over_seeds(chosen.isel(step=-1)))
    peak, at = float(chosen.max("step").median()), float(chosen.idxmax("step").median())
    print(f"{name:8} pi+ at the end {middle:.3f} [{low:.3f}, {high:.3f}], its peak {peak:.3f} at step {at:g}", end="; ")
    print(f"loss at the end {float(loss.median()):.4f}")

# %% [markdown]
# It is **(b)**. The same loss, the same pairs, the same kind of optimiser: only the network loses the chosen response
# again, while its loss goes on falling. Note what the *table* does have: its rejected response drops by tens of nats
# as well.
#
# ## Explore
#
# Below stand both, first the table, then the network. Move the cursor to the peak of the network, near step 65, then
# on, and watch which responses of prompt 0 take the mass. Before you change the optimiser of the network to plain
# descent (lr 0.5), say in which direction its chosen response will go.

# %%
lab.explore("tabular s1 dpo beta=0.1 adam lr=0.1 steps=500 seeds=1")

# %%
lab.explore("mlp s1 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24")

# %% [markdown]
# ## A table: derive it, line by line
#
# **Line 1.** Notebook 03: a step on one pair raises the logit of y⁺ by δ > 0, lowers that of y⁻ by δ, and leaves the
# rest:
#
# $$\Delta z = \delta\,(e^+ - e^-), \qquad \delta = \eta\, s \ \text{ for plain descent}$$
#
# On the left a step that the package makes, from s2 with one prompt; on the right the formula.

# %%
line = "tabular s2 dpo beta=0.1 sgd lr=20 steps=1 seeds=1 prompts=1 responses=5 spread=even"
step = lab.run(line)
start, after = step["log_prob"].isel(seed=0, prompt=0).values
plus, minus = int(step["chosen"][0]), int(step["rejected"][0])
sign = 1.0 * (np.arange(5) == plus) - (np.arange(5) == minus)
delta = 20 * 0.1 / 2
unseen_place = next(place for place in range(5) if place not in (plus, minus))
left = (after - start) - (after - start)[unseen_place]
print(line)
print("left  (against an unseen one)", np.round(left, 9))
print("right                        ", delta * sign)
print(f"largest difference {np.abs(left - delta * sign).max():.0e}")

# %% [markdown]
# **Line 2.** The softmax divides by what the exponentials now sum to. With N for the new sum over the old one,
#
# $$\Delta \log \pi(y) = \Delta z(y) - \log N, \qquad N = 1 + \pi^+ (e^{\delta} - 1) + \pi^- (e^{-\delta} - 1)$$

# %%
prob = np.exp(start)
N = 1 + prob[plus] * (np.exp(delta) - 1) + prob[minus] * (np.exp(-delta) - 1)
left, right = after - start, delta * sign - np.log(N)
print("left ", np.round(left, 9))
print("right", np.round(right, 9))
print(f"largest difference {np.abs(left - right).max():.0e}")

# %% [markdown]
# **Line 3.** For a small step this becomes a slope. You derive it:

# %% exercise 4.1

# %%
check("4.1", chosen_slope)

# %% [markdown]
# **Line 4.** And for a step of *any* size log π⁺ rises, because N < e^δ: each response's exponential grows by e^δ at
# most, and some by less. So in a table with one pair a prompt, **the chosen response never falls**. That is a
# theorem, and here are ten thousand states that could refute it:

# %%
generator = np.random.default_rng(0)
logits = generator.normal(size=(10_000, 10)) * generator.uniform(0.1, 5, (10_000, 1))
states = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
for size in (1e-6, 0.1, 3.0):
    sums = 1 + states[:, 0] * (np.exp(size) - 1) + states[:, 1] * (np.exp(-size) - 1)
    rise = size - np.log(sums)
    print(
        f"delta = {size:<6g} falls of log pi+: {(rise <= 0).sum()} of {len(rise):,}; least rise {rise.min():.1e} nats"
    )

# %% [markdown]
# So degradation, the second D, cannot come from the loss and the softmax alone, whatever the gradient in π⁻ does. And
# the third? Unseen responses have no logit that moves. Line 2 gives all of them the same change:

# %% exercise 4.2

# %%
check("4.2", unseen_direction)

# %% [markdown]
# **Line 5.** Where π⁻ > π⁺ at the start, the unseen mass first grows, until the chosen response has caught up, and
# then shrinks for good. How far it rises can be said before training. On the left the rise in a training, on the
# right the package's closed form, u/(u + 2√(π⁺π⁻)) − u.

# %%
line = "tabular s1,s2,s3,s4 dpo beta=0.1 sgd lr=0.5 steps=4000 seeds=1 prompts=1 keep=none"
record = lab.run(line)
mass = lab.metrics.unseen_mass(record).isel(seed=0, prompt=0)
pair = (lab.metrics.chosen_prob(record), lab.metrics.rejected_prob(record))
p, q = (each.isel(seed=0, pair=0, step=0).values for each in pair)
left = (mass.max("step") - mass.isel(step=0)).values
right = lab.metrics.largest_unseen_rise(p, q)
print(line)
for name, *numbers in zip(record["scenario"].values, p, q, left, right, strict=True):
    print("{}: starts at pi+ {:.2f}, pi- {:.2f}   left {:.6f}   right {:.6f}".format(name, *numbers))

# %% [markdown]
# Only s2, where the chosen response starts unlikely and the rejected one likely, disperses in a table, and it
# recovers. That is the whole story of one pair in a table: a drop, no degradation, at most a passing dispersion.
#
# ## Say it so that a program can find it
#
# "Drastic" and "degradation" are words. To compare anything they have to be numbers with a threshold, one a run. The
# package's definitions:
#
# | property | number | present if |
# |---|---|---|
# | drop | the fall of log π⁻ less the rise of log π⁺, in nats | above 10 |
# | degradation | the peak of π⁺ less its end | above 0.01, and the loss has fallen since the peak |
# | dispersion | u at the end less its minimum | above 0.01, u above its start, and the loss has fallen since then |

# %% exercise 4.3

# %%
check("4.3", three_properties)

# %% [markdown]
# Over seeds, a property is present if the 95 % interval of the median lies above the threshold, absent if it lies
# below, and otherwise **inconclusive**. An audit of step 0 comes first: the policy has to start at its reference.

# %%
print(lab.properties.measure(network))

# %%
both = {"table, s1": table, "network, s1": network}
for name in ("s2", "s4"):
    both[f"table, {name}"] = lab.run(f"tabular {name} dpo beta=0.1 adam lr=0.1 steps=500 seeds=24 every=5")
print(f"{'':12}", "".join(f"{name:17}" for name in ("drop", "degradation", "dispersion", "push on y+ left")))
for name, record in both.items():
    found = lab.properties.verdicts(record)
    cells = [f"{float(v):.3g} {word}" for v, word in zip(found["value"], found["verdict"].values, strict=True)]
    left = f"{float(found['chosen_gradient_left']):.2g} of its start"
    print(f"{name:12}", "".join(f"{cell:17}" for cell in [*cells, left]))

# %% [markdown]
# The last column is the push s on the chosen response at the end. It dies in the table too, as the margin grows, and
# nothing falls there.
#
# ## What a network adds
#
# A network has no logits of its own to move: a step moves the parameters θ, and all logits of all prompts follow. To
# first order
#
# $$\Delta z = -\eta\, K G, \qquad K = J J^{\top},\; J = \frac{\partial z}{\partial \theta},\;
# G = \frac{\partial L}{\partial z}$$
#
# with L the loss over all pairs. For a table K is the identity. For a network K has entries everywhere: what one
# prompt's pair pushes, other prompts feel. (This is the learning dynamics of Ren & Sutherland 2025.) Complete it from
# logits to log-probabilities:

# %% exercise 4.4

# %%
check("4.4", predicted_change)

# %% [markdown]
# Now on the network above: its kernel and its gradient at the reference, one step of plain descent at three learning
# rates, 24 seeds, every log-probability of every prompt.

# %%
predicted_change = reference("4.4")
rates, predicted, made = (0.01, 0.3, 3.0), [], []
for rate in rates:
    one_step = lab.Experiment.parse(f"mlp s1 dpo beta=0.1 sgd lr={rate:g} steps=1 seeds=24")
    problem, policy, objective, optimizer, axes = build_pairwise(one_step)
    theta = reference_parameters(policy, problem)
    log_pi = policy.forward(theta)[0].log_softmax(-1)
    factors = influence(policy, theta, objective, problem, log_pi)
    G = factors.residual.sum((1, 2)).numpy()
    K = factors.kernel.numpy()
    predicted.append(np.stack([predicted_change(log_pi[run].numpy(), K[run], G[run], rate) for run in range(24)]))
    made.append(lab.run(one_step)["log_prob"].diff("step").isel(step=0).values)
print(one_step, "and two smaller learning rates")
lab.show(*drawings.foreseen(predicted, made, rates))

# %%
for rate, x, y in zip(rates, predicted, made, strict=True):
    print(f"lr = {rate:<5g} R squared {drawings.explained(x, y):.5f}")
blocks = np.abs(K.reshape(24, 4, 10, 4, 10)).mean((0, 2, 4))
own = np.diag(blocks).mean()
other = (blocks.sum() - np.trace(blocks)) / 12
print(f"mean size of K: {own:.2f} within a prompt, {other:.2f} between two prompts, {other / own:.2f} of it")

# %% [markdown]
# Small steps are foreseen nearly perfectly, large ones are not: the kernel itself changes. (R² stops a little short of
# 1 even at the smallest of these rates: the fit of the reference leaves some ReLU units close to their kink, and a
# step that carries one across it leaves the first order.) And look at the last line: what is pushed on one prompt
# arrives at the others, weaker, not weak.
#
# Write g⁺ and g⁻ for the gradients of log π⁺ and log π⁻ in θ. A small step on one pair moves θ by ηs(g⁺ − g⁻), and with
# it log π⁺ by ηs(‖g⁺‖² − ⟨g⁺, g⁻⟩). So it lowers its own chosen response if and only if ⟨g⁺, g⁻⟩ > ‖g⁺‖². But is that
# what lowers it here? The package can take a training again and book every change to the pair that made it.

# %%
line = "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=300 seeds=20 every=10 keep=none"
record = lab.run(line)
moved = lab.metrics.moved_by(record, attribute(line)).sel(step=slice(70, None)).sum("step")
by_whom = lab.metrics.over_pairs(moved, record)
print(line)
print("change of log pi+ from step 70 to 300, nats, median and 95 % interval of 20 seeds")
for name, movers in (("its own pair", lab.metrics.MOVERS[:2]), ("other prompts' pairs", lab.metrics.MOVERS[2:])):
    middle, low, high = (float(each) for each in interval_over_seeds(by_whom.sel(mover=list(movers)).sum("mover")))
    print(f"  by {name:22} {middle:+.2f} [{low:+.2f}, {high:+.2f}]")

# %% [markdown]
# While the chosen response falls, **its own pair still raises it; the other prompts pull it down**
# ([other_prompts_lower_the_chosen](../CLAIMS.md#other_prompts_lower_the_chosen)). The gradient that "vanishes" on π⁺
# is not what loses it. Keep that in mind for the last exercise.
#
# ## What the optimiser adds
#
# Adam and plain descent reach the same loss at other steps, so compare them at **equal loss**, not at equal steps.

# %%
adam_line = "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=300 seeds=24 every=2 keep=none"
sgd_line = "mlp s1 dpo beta=0.1 sgd lr=0.5 steps=400 seeds=24 every=2 keep=none"
print(adam_line)
print(sgd_line)
lab.show(*drawings.against_loss({"adam": lab.run(adam_line), "sgd": lab.run(sgd_line)}, level=0.01))

# %% [markdown]
# At this width and with this activation the optimiser decides. Is that a law? Change one word at a time.

# %%
level = 0.01
print(f"chosen mass at loss {level}, median of 24 seeds; the difference with its 95 % interval")
for words, steps in (("", (300, 400)), ("width=16", (700, 400)), ("activation=tanh", (1000, 1000))):
    at = {}
    for rule, count in zip(("adam lr=1e-3", "sgd lr=0.5"), steps, strict=True):
        record = lab.run(f"mlp s1 dpo beta=0.1 {rule} steps={count} seeds=24 every=10 keep=none {words}")
        curve = lab.metrics.over_pairs(lab.metrics.chosen_prob(record), record)
        at[rule] = lab.metrics.when_reached(curve, lab.metrics.total_loss(record), [level], falling=True).isel(level=0)
    middle, low, high = (float(each) for each in interval_over_seeds(at["sgd lr=0.5"] - at["adam lr=1e-3"]))
    medians = ", ".join(f"{rule.split()[0]} {float(each.median()):.3f}" for rule, each in at.items())
    print(f"  {words or 'width 64, ReLU':16} {medians};  sgd - adam {middle:+.3f} [{low:+.3f}, {high:+.3f}]")

# %% [markdown]
# With 16 units plain descent loses some of the chosen response too; with tanh neither loses any. "DPO degrades the
# chosen response" thus holds **only if**: the conditions that we measured stand in
# [chosen_rises_then_falls](../CLAIMS.md#chosen_rises_then_falls). The paper, whose code is not public, leaves
# optimiser and width open. Your last exercise is a claim with one condition of your own finding.

# %% exercise 4.5

# %%
check("4.5", optimiser_claim)

# %% [markdown]
# ## What this says about a real run
#
# "The gradient says up, and `logps/chosen` went down": both are right. The gradient of a pair raises its own chosen
# response. A run's log shows the sum over all pairs, through shared parameters and through an optimiser.
#
# - **Do not take the fall for a property of the loss.** The same loss in a table never does it. Ask what is shared,
#   and which optimiser.
# - **Compare runs at equal loss or equal margin.** At equal steps you compare speeds.
# - **Look at more than loss and margin.** They improve all the time. A fall of `logps/chosen` by a single nat looks
#   small; the next cell shows what it meant here.
# - **The logs do not show where the mass went.** Sample the policy on training prompts, and look whether it gives
#   answers that *other* prompts chose: "chosen elsewhere" in the last line below.
# - **A toy is not your model.** What carries over is which explanations cannot be right, not the numbers.

# %%
seeds = lab.metrics.over_pairs(lab.metrics.chosen_log_prob(network), network)
mass = lab.metrics.over_prompts(lab.metrics.unseen_mass(network), network)
print("step  mean log pi+ (logps/chosen)   unseen mass   (medians of 24 seeds)")
for at in (0, 70, 100, 150, 200, 500):
    middles = (float(each.sel(step=at).median()) for each in (seeds, mass))
    print("{:4d}  {:+.2f}                         {:.3f}".format(at, *middles))
share = lab.metrics.gained_share_by_kind(network, since=mass.idxmin("step"))
found = ", ".join(f"{kind} {float(share.sel(kind=kind).median()):.2f}" for kind in share["kind"].values)
print("shares of the mass gained since the minimum of u:", found)

# %% [markdown]
# ## Five questions

# %% [markdown]
# **1.** A table has one pair a prompt. Its chosen response starts at 0.02, its rejected one at 0.9. Which of the
# three properties can a measurement at the end of a long training find?
#
# <details><summary>Answer</summary>
#
# The drop. π⁺ never falls, so there is no degradation. The unseen mass rises at first, as π⁻ > π⁺, and sinks towards
# 0 later; a measurement in the middle would call that dispersion.
#
# </details>

# %% [markdown]
# **2.** Two pairs of *one* prompt share a response: it is chosen in one and rejected in the other. Does the theorem
# of line 4 hold?
#
# <details><summary>Answer</summary>
#
# No. The theorem is about one pair a prompt. Here the two pairs push one logit in opposite directions, and the step
# is no longer δ(e⁺ − e⁻).
#
# </details>

# %% [markdown]
# **3.** A run ends with a smaller π⁺ than it started with, and its loss is higher than at the peak of π⁺. Is that
# degradation?
#
# <details><summary>Answer</summary>
#
# Not by the definition: the loss has to have fallen since the peak. A run that unlearns its pairs, say with too large
# a learning rate, is another illness.
#
# </details>

# %% [markdown]
# **4.** The 3D-Properties paper explains the fall of π⁺ by a gradient on it that vanishes. Which two measurements of
# this notebook speak against that explanation?
#
# <details><summary>Answer</summary>
#
# In the table the push on y⁺ dies away as well, and π⁺ does not fall. And while π⁺ falls in the network, its own pair
# still raises it; the pull comes from the other prompts.
#
# </details>

# %% [markdown]
# **5.** A colleague finds that plain descent keeps the chosen response and Adam loses it, both after 500 steps. What
# do you ask first?
#
# <details><summary>Answer</summary>
#
# At which loss? After 500 steps the two may stand at quite different ones. Then: which width, activation, number of
# prompts and β, for the claim holds under conditions only; and how many seeds.
#
# </details>

# %%
lab.course.stamp()
