# %% [markdown]
# # 05 · Where do your pairs come from?
#
# *60 minutes · you need: notebooks 03 and 04, or the DPO paper and what a bootstrap interval is · the last cell
# prints the run time*
#
# A pair has a chosen and a rejected response, and somebody wrote both. If the policy itself would write such a
# response, it is **on-policy**: likely under the reference. If another model or a person wrote it, it is
# **off-policy**: unlikely. Two responses, two sources each: four scenarios. The 3D-properties paper says that they
# decide how much DPO suffers. You measure whether they do.
#
# **After it you can**
#
# - tell from the start of a pair where a table's mass will go;
# - measure which cell shows which of the three properties;
# - say how sure a number over seeds is;
# - decide a claim by intervals, and see when its words are ambiguous;
# - tell a property of the data from a property of the training.

# %%
import numpy as np

import lab
from lab.course import check, hint, reference, solution
from lab.course.chapters.scenarios.breaking import differences
from lab.course.drawings import scenarios as drawings

# %% [markdown]
# ## The four cells
#
# | | chosen on-policy | chosen off-policy |
# |---|---|---|
# | **rejected on-policy** | s1: both likely | s2: the chosen one unlikely |
# | **rejected off-policy** | s3: the rejected one unlikely | s4: both unlikely |
#
# | symbol | meaning |
# |---|---|
# | π, π_ref | the policy, the reference policy where training starts |
# | π⁺, π⁻ | probability of the chosen and of the rejected response y⁺, y⁻ |
# | u | **unseen** mass: 1 − π⁺ − π⁻, all responses that the pair does not name |
# | D | log-ratio margin: log π⁺/π⁺_ref − log π⁻/π⁻_ref, in nats; the margin is m = βD |
# | σ, ℓ | σ(a) = 1/(1 + e⁻ᵃ), and the loss of a pair, ℓ = −log σ(βD) |
# | η, s | the learning rate, and the push s = βσ(−βD) of the loss on each of the two |
#
# Here "likely" is probability 0.45 and "unlikely" is 0.02; 8 other responses share the rest. The world is that of
# notebook 04: 4 prompts, 10 responses, one pair a prompt, a small network.

# %%
line = "mlp s1,s2,s3,s4 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24 every=5 keep=none"
record = lab.run(line)
start = {word: values.isel(step=0, seed=0) for word, values in drawings.masses(record).items()}
for scenario in record.scenario.values:
    here = {word: start[word].sel(scenario=scenario).item() for word in ("chosen", "rejected", "unseen")}
    print(scenario, *(f"{word} {value:.2f}" for word, value in here.items()))

# %% [markdown]
# ## Predict first
#
# All four are trained for 500 steps by DPO at β = 0.1 under Adam.
#
# 1. Put the four in order: in which one is π⁺ **highest at the end**, in which one lowest?
# 2. In which one does the chosen response **lose most from its peak**?
# 3. In which one does u **rise at once**, in the very first steps?
#
# Write three answers down. The first is the measure that most people have in mind when they say "suffers least".

# %% tags=["slide"]
lab.show(*drawings.four(record))

# %% [markdown]
# Lines are medians of 24 seeds, bands their 95 % intervals. The next cell has the numbers.

# %%
curves = drawings.masses(record)
ends = curves["chosen"].isel(step=-1).median("seed")
lost = (curves["chosen"].max("step") - curves["chosen"].isel(step=-1)).median("seed")
first = (curves["unseen"].isel(step=1) - curves["unseen"].isel(step=0)).median("seed")
for scenario in record.scenario.values:
    end, fall, rise = (values.sel(scenario=scenario).item() for values in (ends, lost, first))
    print(f"{scenario}: chosen ends at {end:.2f}, {fall:.2f} below its peak; unseen after 5 steps {rise:+.3f}")
print("chosen at the end, highest first:", *ends.scenario.values[np.argsort(-ends.values)])

# %% [markdown]
# So the chosen response of s1 ends highest *and* loses much from its peak: the two measures that you were asked about
# do not agree on what it is to suffer. And in s2 the unseen mass rises at once, though nothing has been "degraded"
# yet. Both have reasons that a table of logits explains exactly.
#
# ## Explore
#
# Below is s2. Watch the first thirty steps: the rejected response dies, and its mass goes to the *unseen* ones, not
# to the chosen one. Then go to s1, s3 and s4. Then change Adam for plain SGD (lr 0.5), and look for what stays. First
# as a picture, at step 30:

# %%
line = "mlp s2 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=8"
lab.show(*lab.explorer.twin(line, step=30))

# %%
lab.explore("mlp s2 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=8")

# %% [markdown]
# ## Derive it: the law of the table
#
# Give each response a logit of its own. One prompt, one pair; all else is exact.
#
# **Line 1.** At the start the loss does not know the scenario. Every log-ratio is 0 there, whatever π_ref is:
#
# $$\ell = -\log\sigma(\beta D) = \log 2, \qquad
# \left|\frac{\partial \ell}{\partial \log\pi^\pm}\right| = \beta\,\sigma(-\beta D) = \beta/2 .$$

# %%
table = lab.run("tabular s1,s2,s3,s4 dpo beta=0.1 sgd lr=1 steps=1000 seeds=1 prompts=1 every=1 keep=none")
cells = {scenario: table.sel(scenario=scenario).isel(seed=0) for scenario in table.scenario.values}
for scenario, cell in cells.items():
    loss, push = cell.loss.values[0, 0], abs(cell.response_weight.values[0]).ravel()
    print(f"{scenario}: loss {loss:.6f}, log 2 = {np.log(2):.6f}; pushes {push.round(6)}, beta/2 = {0.1 / 2}")

# %% [markdown]
# **Line 2.** In the logits z the gradient is −s on y⁺, +s on y⁻ and 0 on all others, with s = β σ(−βD). So z⁺ rises
# as much as z⁻ falls, each by half of D, and D grows at a pace that depends on D alone. **In a table the four
# scenarios have the same D at every step:**
#
# $$z^\pm(D) = z^\pm_\mathrm{ref} \pm D/2, \qquad D_{t+1} = D_t + 2\,\eta\,\beta\,\sigma(-\beta D_t).$$

# %%
margins = {scenario: lab.metrics.log_ratio_margin(cell).values[:, 0] for scenario, cell in cells.items()}
D = margins["s1"]
left, right = D[1:] - D[:-1], 2 * 1.0 * 0.1 / (1 + np.exp(0.1 * D[:-1]))
print(f"largest difference of the two sides over {len(left)} steps: {abs(left - right).max():.0e}")
for scenario, other in margins.items():
    apart = abs(other - D).max()
    print(f"{scenario}: D after 1000 steps {other[-1]:.6f} nats, largest distance from that of s1 {apart:.0e}")

# %% [markdown]
# **Line 3.** Hence the masses. With π⁺, π⁻, u under the reference, at log-ratio margin D they stand in the proportion
#
# $$\pi^+_\mathrm{ref}\, e^{D/2} \;:\; \pi^-_\mathrm{ref}\, e^{-D/2} \;:\; u_\mathrm{ref}.$$
#
# This is all that the scenario does to a table: it sets three weights.

# %%
starts = {"s1": (0.45, 0.45), "s2": (0.02, 0.45), "s3": (0.45, 0.02), "s4": (0.02, 0.02)}
for scenario, (chosen, rejected) in starts.items():
    law = drawings.table_masses(chosen, rejected, margins[scenario])
    trained = drawings.masses(table.sel(scenario=scenario).isel(seed=0))
    apart = {word: abs(law[word] - trained[word].values).max() for word in law}
    print(scenario, "largest |law - trained|:", *(f"{word} {value:.0e}" for word, value in apart.items()))

# %%
lab.show(*drawings.law(starts, table))

# %% [markdown]
# Read three things off the law.
#
# - **The order.** For any D the chosen mass has the odds π⁺_ref e^{D/2} against the unseen: s1 (0.45 : 0.10), then s3
#   (0.45 : 0.53), then s2 (0.02 : 0.53), then s4 (0.02 : 0.96). The order s1, s3, s2, s4 is in the start, not in DPO.
# - **No fall.** Every chosen curve only rises, to 1. A table cannot lose its chosen response.
# - **Early dispersion.** In s2, and only there, the unseen mass rises first: pushing the likely rejected response
#   down frees more mass than the unlikely chosen one can take.
#
# **Line 4.** A small step η changes u by ηs·u(π⁻ − π⁺), so u rises as long as π⁻ > π⁺. When does that end?

# %%
for scenario, (chosen, rejected) in starts.items():
    u = drawings.table_masses(chosen, rejected, margins[scenario][:2])["unseen"]
    left, right = u[1] - u[0], 1.0 * (0.1 / 2) * u[0] * (rejected - chosen)
    print(f"{scenario}: change of u in the first step {left:+.6f}, to first order {right:+.6f}")

# %% [markdown]
# The two columns agree where the first order is not 0; in s1 and s4, where π⁺ = π⁻, only the second order is left.
# Now find the peak.

# %% exercise 5.1

# %%
check("5.1", unseen_peak)

# %%
for scenario, (chosen, rejected) in starts.items():
    margin, most = reference("5.1")(chosen, rejected)
    trained = drawings.masses(table.sel(scenario=scenario).isel(seed=0))["unseen"].max().item()
    print(f"{scenario}: largest unseen mass {most:.4f} at D = {margin:.2f} nats; a trained table: {trained:.4f}")

# %% [markdown]
# In the network of the first picture, s2 disperses early as the table does. What a table does not have is the *late*
# rise of u in s1 and s3: it comes from shared parameters (notebook 04). Two causes, one name: "dispersion" in s2 is
# where the data start, "dispersion" in s1 is what the training does.
#
# ## Measure it
#
# "Suffers least" has to become a number before anybody can be right about it. At least four numbers are fair
# readings.

# %% exercise 5.2

# %%
check("5.2", suffering)

# %%
prob = np.exp(record.log_prob.transpose("scenario", "seed", "step", "prompt", "response").values)
names = ("chosen at the end", "chosen gained since the start")
names += ("chosen lost from its peak", "unseen gained since the start")
scores = {
    str(scenario): reference("5.2")(prob[place], record.chosen.values, record.rejected.values)
    for place, scenario in enumerate(record.scenario.values)
}
signs = np.array([1, 1, -1, -1])  # whether much is good
print(f"{'median of 24 seeds':32}", *(f"{scenario:>7}" for scenario in scores), "   suffers least")
for row, name in enumerate(names):
    medians = {scenario: np.median(score[row]) for scenario, score in scores.items()}
    best = max(medians, key=lambda scenario: signs[row] * medians[scenario])
    print(f"{name:32}", *(f"{median:7.3f}" for median in medians.values()), "  ", best)

# %% [markdown]
# Four fair measures name three winners. By level s1 suffers least; by what is lost it is a scenario whose chosen
# response never got high enough to fall far. A chosen response that starts at 0.45 can gain at most 0.55; one that
# starts at 0.02 can gain 0.98. **A measure of change favours whoever starts low, a measure of level whoever starts
# high.**
#
# The lab's own definitions of the three properties (notebook 04) are such measures with thresholds. Which cell has
# which?

# %%
lab.properties.verdicts(record).verdict.transpose("property", "scenario").to_pandas()

# %% [markdown]
# The drop is everywhere, and so is the fall of the chosen response from its peak. Dispersion asks that the unseen
# mass also ends *above its start*, which rules s4 out, and leaves s3 undecided.
#
# ## How sure is it?
#
# Each number is a median over 24 seeds. Another 24 seeds would give another one. How far off may it be? The check of
# the next exercise draws samples whose true median it knows, and counts how often your interval holds it.

# %% exercise 5.3

# %%
check("5.3", interval)

# %% [markdown]
# A comparison is best taken **seed by seed**: seed 7 has the same network and the same unseen responses in s1 and s3,
# so what is common to both drops out of the difference. Subtracting first and taking the median then is not the same
# as the difference of two medians.

# %%
a, b = scores["s1"][0], scores["s3"][0]
paired = reference("5.3")((a - b)[None], 0)[:, 0]
shuffled = np.random.default_rng(0).permutation(b)
unpaired = reference("5.3")((a - shuffled)[None], 0)[:, 0]
print("chosen at the end, s1 minus s3")
print(f"  seed by seed    {paired[0]:.3f} [{paired[1]:.3f}, {paired[2]:.3f}]")
print(f"  seeds shuffled  {unpaired[0]:.3f} [{unpaired[1]:.3f}, {unpaired[2]:.3f}]")
print(f"single seeds of s1 end between {a.min():.2f} and {a.max():.2f}, of s3 between {b.min():.2f} and {b.max():.2f}")
print(f"correlation of s1 and s3 over seeds: {np.corrcoef(a, b)[0, 1]:.2f}")

# %% [markdown]
# The pairing helps as much as the two are correlated over seeds, which here is what the last line says; it never
# misleads, so it is free.
#
# ## Decide the claim
#
# The paper's claim: *the three properties are mildest when both responses are on-policy.* Put it to s1 against each
# other scenario, by each of the four measures, signed so that above 0 speaks for the claim.

# %%
others = ("s2", "s3", "s4")
gaps = [signs[:, None] * (scores["s1"] - scores[other]) for other in others]  # each [measure, seed]
value, low, high = np.stack([reference("5.3")(gap, 0) for gap in gaps], axis=-1)  # each [measure, comparison]
lab.show(*drawings.intervals([f"s1 against {other}" for other in others], names, value, low, high))

# %% exercise 5.4

# %%
check("5.4", verdict)

# %%
print("all four measures:", reference("5.4")(low, high))
for row, name in enumerate(names):
    print(f"{name:32}", reference("5.4")(low[row : row + 1], high[row : row + 1]))

# %% [markdown]
# This is the row [s1_suffers_least](../CLAIMS.md#s1_suffers_least) of CLAIMS.md, made by hand: *ambiguous in the
# paper*. The claim holds for where the chosen response ends, and fails for what it gained, what it lost, and what the
# unseen responses gained. Neither side is wrong; the sentence does not say which it means. When you write about a
# run, name the measure.
#
# ## In between: is it the label or the start?
#
# "Off-policy" is a word; the start is a number. Here the rejected response stays at 0.45, and the chosen one starts
# anywhere from 0.005 to 0.45.

# %%
starting = "off=0.005,0.02,0.08,0.2,0.45"
sweep = lab.run(f"mlp s2 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24 every=10 keep=none {starting}")
lab.show(*drawings.by_start(sweep))

# %%
chosen = drawings.masses(sweep)["chosen"]
for place in sweep.off.values:
    here = chosen.sel(off=place)
    last, top = here.isel(step=-1), here.max("step")
    end, fall = last.median().item(), (top - last).median().item()
    print(f"start {place:5.3f}: ends at {end:.2f}, {fall:.2f} below its peak")

# %% [markdown]
# There is no threshold: level and loss both grow with the start. The more the policy likes a response already, the
# higher it ends, and the more of it there is to lose.
#
# ## Break it
#
# Is "s1 ends above s3" a fact about pairs, or about this training? First see that the order of our line is no
# accident of its seeds. `differences(line)` gives s1 minus s3, seed by seed: the median and the ends of its interval.
# Here it is on 16 new seeds.

# %%
fresh = "mlp s1,s3 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=16 seed=24 every=500 keep=none"
print("s1 minus s3, new seeds: {:.3f} [{:.3f}, {:.3f}]".format(*differences(fresh)))

# %% [markdown]
# Now break it. Search with seeds of your own; the check uses others. That is no malice: whoever searches long enough
# finds a setting in which *these* seeds say anything.

# %% exercise 5.5

# %%
check("5.5", flip)

# %%
rest = "seeds=12 seed=24 every=100 keep=none"
slow = f"mlp s1,s3 dpo beta=0.1 adam lr=1e-3 steps=100 {rest}"
plain = f"mlp s1,s3 dpo beta=0.1 sgd lr=0.5 steps=100 {rest}"
broken = reference("5.5")().replace("seeds=24", rest)
for name, line in {"slow Adam": slow, "plain SGD": plain, "a fast Adam": broken}.items():
    print("{:11} s1 minus s3 {:+.3f} [{:+.3f}, {:+.3f}]".format(name, *differences(line)))

# %% [markdown]
# The order s1 over s3 is that of the table, and plain SGD and a slow Adam keep it. A fast Adam turns it round. Why it
# does, this cell does not say, and a claim about the cause would need runs of its own. What it does say: the order is
# a property of data *and* training. The data source is not the algorithm, and neither of them alone is the cause.
#
# ## What this says about a real run
#
# - **Ask where both responses came from**, before you ask which loss to use. Mean log π_ref of the chosen and of the
#   rejected responses, per token, is one pass over your data and tells you which of the four cells you are in.
# - **A chosen response from a stronger model is s2.** Expect the unseen mass to rise at once: the policy stops saying
#   what it said and does not yet say what it should. Train on the chosen responses first (SFT), or draw pairs from
#   the policy itself: both move you to s1.
# - **s1 is no insurance.** It ends highest here and still loses more than a third of what it had at its peak. Stop
#   early, or add a small SFT term (notebook 06).
# - **Name the measure and give the interval.** "Suffers least" was right by one measure in four.
# - This is a network with 40 outputs. It shows which explanations cannot be right; it does not tell your model's
#   numbers.
#
# ## Five questions
#
# **1.** At step 0 the loss is log 2 in all four scenarios. What does a loss curve tell about the scenario?
#
# <details><summary>Answer</summary>In a table nothing at all, ever: the loss depends on D alone, and D moves alike in
# all four. In a network only indirectly, through what the responses share.</details>
#
# **2.** Why does the unseen mass rise at once in s2 and not in s3, although both have one off-policy response?
#
# <details><summary>Answer</summary>The first change of u is ηs·u(π⁻ − π⁺). In s2 the rejected response is the larger
# one: pushing it down frees more than the chosen one takes. In s3 it is the other way round.</details>
#
# **3.** A paper reports 0.60 against 0.46, one run each, and calls the first method better. What do you ask?
#
# <details><summary>Answer</summary>How far runs of one method differ by seed; here single seeds of one scenario lie
# further apart than that. Then for an interval of the difference, seed by seed.</details>
#
# **4.** Why does "chosen mass lost from its peak" favour s2 and s4?
#
# <details><summary>Answer</summary>Their chosen responses never get high, so they have little to lose. A measure of
# change favours whoever starts, or stays, low.</details>
#
# **5.** You searched forty learning rates and found one where the order flips on your 24 seeds. What is the next
# step?
#
# <details><summary>Answer</summary>Run that one line on seeds that took no part in the search, and believe only what
# is left.</details>

# %%
lab.course.stamp()
