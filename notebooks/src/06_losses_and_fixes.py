# %% [markdown]
# # 06 · Losses and fixes
#
# *Two parts of 60 minutes · you need: notebooks 03 to 05, or the DPO paper and the words margin, log-ratio, unseen ·
# the last cell prints the run time*
#
# There are dozens of losses for pairs, and each paper compares its own with DPO after equally many steps. Part A
# takes losses for what they are, functions of two log-ratios, and asks what each does when the rejected response is
# nearly gone. Part B takes the fixes that are meant to hold the chosen response, and asks what they cost.
#
# **After it you can**
#
# - write a loss as a function of the two log-ratios, and read its target off it;
# - say what a loss does to the chosen response once the rejected one is gone;
# - compare losses at equal margin and at equal KL, not only at equal steps;
# - name the fixes that hold the chosen response, and the price of each.

# %%
import numpy as np
import torch

import lab
from lab.course import check, hint, reference, solution
from lab.course.drawings import losses as drawings
from lab.course.drawings.losses import chosen_push
from lab.course.drawings.scenarios import table_masses

# %% [markdown]
# ## The plane that all of them live in
#
# | symbol | meaning |
# |---|---|
# | π, π_ref | the policy, the reference policy where training starts |
# | π⁺, π⁻ | probability of the chosen and of the rejected response y⁺, y⁻ |
# | u, v | their log-ratios: u = log π⁺/π⁺_ref, v = log π⁻/π⁻_ref, in nats; both 0 at the start |
# | D, m | log-ratio margin D = u − v; margin m = βD |
# | a⁺, a⁻ | the pushes: ∂ℓ/∂log π⁺, which is below 0 where y⁺ is pushed up, and ∂ℓ/∂log π⁻ |
#
# | loss | ℓ(u, v) | its idea |
# |---|---|---|
# | DPO | −log σ(βD) | the margin as the logit of "chosen is better" |
# | cDPO | −(1−e) log σ(βD) − e log σ(−βD) | a share e of the labels is wrong; here e = 0.1 |
# | IPO | (D − 1/(2β))² | a target for D |
# | SLiC | max(0, 1 − βD) | a hinge at margin 1 |
# | SimPO | −log σ(β(log π⁺/len⁺ − log π⁻/len⁻) − γ) | no reference; a mean over tokens |
# | KTO | (1 − σ(β(u − z₀)))/2 + (1 − σ(β(z₀ − v)))/2 | each response by itself, against z₀, the KL from π_ref |
# | ORPO | −log π⁺ − β log σ(log odds⁺ − log odds⁻) | odds against all others, plus likelihood |
#
# # Part A · What a loss does
#
# ## Predict first
#
# One world, s1: both responses start at 0.45. Four losses, the same β = 0.1, Adam, 500 steps, 20 seeds.
#
# 1. Under which of DPO, IPO, SLiC, KTO does the chosen response end **below 0.9**?
# 2. Under which does the rejected response end **deepest**?
#
# Write your answers down.

# %% tags=["slide"]
rest = "adam lr=1e-3 steps=500 seeds=20 every=10 keep=none dtype=float32"
record = lab.run(f"mlp s1 dpo,ipo,slic,cdpo,simpo,kto,orpo beta=0.1 {rest}")
lab.show(*drawings.landscapes(record.sel(objective=["dpo", "ipo", "slic", "kto"])))

# %%
chosen = lab.metrics.over_pairs(lab.metrics.chosen_prob(record), record)
depth = lab.metrics.over_pairs(lab.metrics.rejected_log_ratio(record), record)
for loss in record.objective.values:
    end, top = chosen.sel(objective=loss).isel(step=-1), chosen.sel(objective=loss).max("step")
    v = depth.sel(objective=loss).isel(step=-1).median().item()
    print(f"{loss:6} chosen ends at {end.median():.3f}, {(top - end).median():.3f} below its peak; v = {v:6.1f} nats")

# %% [markdown]
# Each panel is a landscape: darker is a larger loss, arrows point along the pushes, and the line is where training
# went, from the open dot to the filled one. Chosen up is to the right, rejected down is down. Under DPO the chosen
# response turns back to the left, though every arrow on its way points right. Under KTO the rejected response falls
# even deeper, and the chosen one stays. So the fall of the rejected response alone is not what loses the chosen one.
#
# ## Explore
#
# Below is IPO with its target at 5 nats. Make β ten times smaller: the target moves to 50 nats. Predict what becomes
# of the chosen response before you look. Then try SLiC at both β. First as a picture:

# %%
line = "mlp s1 ipo beta=0.1 adam lr=1e-3 steps=500 seeds=8"
lab.show(*lab.explorer.twin(line))

# %%
lab.explore("mlp s1 ipo beta=0.1 adam lr=1e-3 steps=500 seeds=8")

# %% [markdown]
# The fall comes back with a far target. What kept the chosen response was the stop, not the shape of the loss. The
# numbers (20 seeds):

# %%
far = lab.run(f"mlp s1 ipo,slic beta=0.01 {rest}")
for loss in far.objective.values:
    for beta, run in ((0.1, record), (0.01, far)):
        lost = lab.properties.by_seed(run.sel(objective=loss))["value"].sel(property="degradation")
        print(f"{loss:4} beta = {beta:4}: chosen ends {lost.median().item():.3f} below its peak")

# %% [markdown]
# ## Derive it
#
# **Line 1.** Training knows a loss only by its two pushes a⁺ = ∂ℓ/∂log π⁺ and a⁻ = ∂ℓ/∂log π⁻. Left: finite
# differences of the loss. Right: the closed form.

# %%
objectives = {"DPO": lab.DPO(0.1), "IPO": lab.IPO(0.1), "SLiC": lab.SLiC(0.1), "KTO": lab.KTO(0.1)}
u, v, step = 0.4, -7.0, 1e-6
place = torch.tensor([[u - 0.8], [u - 0.8 + step], [u - 0.8 - step]], dtype=torch.float64)
other = torch.full_like(place, v - 0.8)
start = torch.full_like(place, -0.8)
pairs = lab.PairLogProbs(place, other, start, start, kl=torch.zeros_like(place))
for name, objective in objectives.items():
    losses = objective.loss(pairs).flatten()
    left, right = (losses[1] - losses[2]).item() / (2 * step), objective.response_weights(pairs)[0][0].item()
    print(f"{name:4} a+ by finite differences {left:+.8f}, closed form {right:+.8f}, difference {left - right:+.0e}")

# %% [markdown]
# **Line 2.** A loss that looks at D alone has pushes that are equal and opposite, a⁺ = −a⁻ = ℓ′(D). KTO has not.

# %%
for name, objective in objectives.items():
    up, down = (push[0].item() for push in objective.response_weights(pairs))
    print(f"{name:4} a+ = {up:+.6f}, a- = {down:+.6f}, sum {up + down:+.6f}")

# %% [markdown]
# **Line 3.** So in a table all of them send a pair along the *same* path: the law of notebook 05 in D, whatever the
# loss. They differ in how fast they go, and where they stop: IPO and SLiC are at their targets, the other two still
# on their way.

# %%
table = lab.run("tabular s1 dpo,ipo,slic,cdpo beta=0.1 sgd lr=0.1 steps=4000 seeds=1 prompts=1 every=40 keep=none")
for loss in table.objective.values:
    cell = table.sel(objective=loss).isel(seed=0)
    D = lab.metrics.log_ratio_margin(cell).values[:, 0]
    law = table_masses(0.45, 0.45, D)["chosen"]
    apart = abs(law - lab.metrics.chosen_prob(cell).values[:, 0]).max()
    print(f"{loss:4} ends at D = {D[-1]:6.2f} nats; largest distance from the law of the table {apart:.0e}")

# %% [markdown]
# **Line 4.** Where does the push end? Set ℓ′(D) = 0: IPO at 1/(2β), SLiC from 1/β on, cDPO where σ(βD) = 1 − e. Left:
# the formula. Right: searched numerically in the loss itself.

# %%
beta, e = 0.1, 0.1
formulas = {"ipo": 1 / (2 * beta), "slic": 1 / beta, "cdpo": np.log((1 - e) / e) / beta}
for sheet in lab.sheets("ipo slic cdpo beta=0.1"):
    turn = sheet.limits.target("chosen")
    left, right = formulas[sheet.word], turn.margin
    print(f"{sheet.word:4} {turn.how} at D = {right:.6f}, formula {left:.6f}, difference {left - right:+.0e}")

# %% [markdown]
# **Line 5.** DPO has no such margin. With the chosen response unmoved, and the rejected one fallen by t, a share of
# 2σ(−βt) is left of its push.

# %%
for t in (5, 20, 40, 100):
    left, right = chosen_push("dpo", t) / chosen_push("dpo", 0), 2 / (1 + np.exp(beta * t))
    print(f"t = {t:3d} nats: left {left:.6f}, formula {right:.6f}, difference {left - right:+.0e}")

# %%
lab.show(*drawings.fading(("dpo", "simpo", "slic", "ipo", "cdpo", "kto", "orpo")))

# %% [markdown]
# A push of 4 %, as DPO's at 40 nats, looks like the end of training. It is not: Adam divides a gradient by its own size, so that a small
# push moves the network nearly as far as a large one. And in a network a pair is never alone. The other prompts'
# updates move this chosen response too (notebook 04), and nothing pulls it back once its own push has faded. **A loss
# holds the chosen response for as long as it pushes it, or stops before there is anything to hold against.**
#
# Now write two of them.

# %% exercise 6.1

# %%
check("6.1", two_losses)

# %%
u, v = np.array([0.0, 1.0, 4.0]), np.array([0.0, -2.0, -2.0])
mine = reference("6.1")(u, v, beta)
pairs = lab.PairLogProbs(*(torch.from_numpy(each)[None] for each in (u - 5, v - 5, 0 * u - 5, 0 * v - 5)))
for row, objective in zip(mine, (lab.IPO(beta), lab.SLiC(beta)), strict=True):
    print(type(objective).__name__, row.round(4), "the lab's own:", objective.loss(pairs)[0].numpy().round(4))

# %% exercise 6.2

# %%
check("6.2", simpo_loss)

# %%
sums, lengths = np.array([-20.0, -40.0]), np.array([10.0, 20.0])
short, long = reference("6.2")(sums, np.array([-30.0, -30.0]), lengths, np.array([15.0, 15.0]), 2.0, 0.5)
print(f"chosen 10 tokens, -20 nats: loss {short:.4f}; chosen 20 tokens, -40 nats: loss {long:.4f}")

# %% [markdown]
# The two chosen responses have the same mean a token, and so the same loss, though one is e²⁰ times less likely than
# the other. Whether that is a virtue depends on whether length carries quality in your data.
#
# `chosen_push(loss, fall)` is the push of the picture above: how hard a loss pushes y⁺ up when y⁻ has fallen by so
# many nats.

# %%
for loss in ("dpo", "kto"):
    print(loss, chosen_push(loss, [0, 10, 50]) / chosen_push(loss, 0))

# %% exercise 6.3

# %%
check("6.3", fates)

# %%
words = [word for word, fall in reference("6.3")().values()]
print({word: words.count(word) for word in sorted(set(words))})

# %% [markdown]
# ## A fair comparison
#
# After 500 steps each loss is somewhere else: IPO at D = 5 nats, DPO at 74. To compare them there is to compare how
# long they ran. Two other places to stand: where D is equal, and where the policy is equally far from the reference,
# by KL.

# %% exercise 6.4

# %%
check("6.4", at_margin)

# %%
D = lab.metrics.over_pairs(lab.metrics.log_ratio_margin(record), record)
for loss in ("dpo", "ipo"):
    way, value = (values.sel(objective=loss).values for values in (D, chosen))
    read = [reference("6.4")(one, other, 4.5) for one, other in zip(way, value, strict=True)]
    print(f"{loss}: chosen mass at D = 4.5 nats, median of {len(read)} seeds {np.median(read):.3f}")

# %% [markdown]
# `lab.properties.read_at` does the same for all losses and places at once.

# %%
places = [
    lab.properties.Horizon("step", 50),
    lab.properties.Horizon("step", 500),
    lab.properties.Horizon("log_ratio_margin", 4.5),
    lab.properties.Horizon("log_ratio_margin", 20),
    lab.properties.Horizon("kl_from_reference", 0.6),
]
median, low, high = lab.properties.interval_of_those_there(lab.properties.read_at(chosen, record, places))
median.transpose("objective", "horizon").round(3).to_pandas()

# %%
for loss in ("dpo", "ipo", "slic", "kto"):
    ends = [each.sel(objective=loss, horizon="margin 4.5 nats").item() for each in (median, low, high)]
    print("{:5} chosen mass at D = 4.5 nats: {:.3f} [{:.3f}, {:.3f}]".format(loss, *ends))

# %% [markdown]
# At equal margin the losses of D alone can hardly be told apart, in the network as in the table: their medians differ
# by thousandths, and the intervals overlap. At step 500 DPO and IPO differ by more than a third of all the mass. NaN
# stands where a loss never gets there. **What IPO and SLiC have over DPO here is a stop, not a better path.** DPO,
# stopped there, has as much. ORPO is ahead at equal margin: it has a path of its own, since its loss has a likelihood
# term.
#
# **Write it down.** In five sentences, to a colleague: which loss is best in s1? Give the line, the place where you
# compare, the number and its interval; and one line that would change your mind. There is no check for this one.
#
# # Part B · Fixes and their price
#
# Four ways to hold the chosen response:
#
# | fix | what it changes |
# |---|---|
# | Flex-DPO | m = β⁺u − β⁻v, with β⁻ below β⁺: the chosen push becomes the stronger |
# | an SFT term | ℓ + w·(−log π⁺): a push of w that never fades |
# | DPO-Positive | m = β(u − v − λ max(0, −u)): a fall below the reference costs 1 + λ times as much |
# | KTO | another loss, whose chosen push never fades |
#
# ## Predict first
#
# Flex-DPO keeps β⁺ = 0.1 and takes a **smaller β⁻**, "so that the rejected response falls less". After 500 steps, is
# log π⁻ then
#
# - **(a)** higher than under DPO, as meant;
# - **(b)** about the same;
# - **(c)** lower?

# %% tags=["slide"]
rest = "adam lr=1e-3 steps=500 seeds=20 every=500 keep=none dtype=float32"
flex = lab.run(f"mlp s1,s2 flex beta_chosen=0.1 beta_rejected=0.005,0.05,0.1,0.3 {rest}")
fixes = {
    "Flex-DPO": flex,
    "SFT term": lab.run(f"mlp s1,s2 dpo beta=0.1 sft_weight=0.001,0.01,0.1,1 {rest}"),
    "DPOP": lab.run(f"mlp s1,s2 dpop beta=0.1 penalty=50 {rest}"),
    "KTO": lab.run(f"mlp s1,s2 kto beta=0.1 {rest}"),
}
lab.show(*drawings.price(fixes))

# %%
fall = lab.metrics.over_pairs(lab.metrics.rejected_log_ratio(flex), flex).isel(step=-1).median("seed")
for scenario in ("s1", "s2"):
    for weak in flex.beta_rejected.values:
        v = fall.sel(scenario=scenario, beta_rejected=weak).item()
        end = drawings.ends(flex.sel(scenario=scenario, beta_rejected=weak))[1].median().item()
        print(f"{scenario} beta- = {weak:5.3f}: log pi- ends {v:7.1f} nats from its start, chosen mass {end:.3f}")
for name in ("DPOP", "KTO"):
    end = drawings.ends(fixes[name])[1].median("seed")
    print(name, *(f"in {scenario}: chosen mass {end.sel(scenario=scenario).item():.3f}" for scenario in ("s1", "s2")))

# %% [markdown]
# It is **(c)**. A smaller β⁻ pulls less per nat, and so goes on for longer: the rejected response ends *deeper*, by a
# factor of ten at β⁻ = 0.005. Flex-DPO does help. But it helps because it pushes the chosen response harder than the
# rejected one, not because it slows the fall. The paper's reason holds only for the first steps
# ([flex_slows_the_rejected](../CLAIMS.md#flex_slows_the_rejected)), and its best β⁻ near 0.08 is none here: the
# smaller, the more is kept ([flex_best_inside](../CLAIMS.md#flex_best_inside)).
#
# Reading the picture: up is good, right is a larger margin, small numbers are the setting (β⁻, weight w, penalty λ).
# The axis is stretched towards 1. The SFT term costs margin only when it is large. DPOP hardly helps in s2: it acts
# where u is below 0, and a chosen response that starts at 0.02 is above its reference even when it has lost most of
# what it had gained.
#
# ## Explore
#
# Below is Flex-DPO in s2, where plain DPO keeps little. Move β⁻ up to 0.1, where it is DPO, and back. Watch the chosen
# response and, in nats, the rejected one: which of them does a smaller β⁻ spare? First as a picture:

# %%
line = "mlp s2 flex beta_chosen=0.1 beta_rejected=0.02 adam lr=1e-3 steps=500 seeds=8"
lab.show(*lab.explorer.twin(line))

# %%
lab.explore("mlp s2 flex beta_chosen=0.1 beta_rejected=0.02 adam lr=1e-3 steps=500 seeds=8")

# %% [markdown]
# ## Derive it
#
# **Line 6.** Late in a run: the rejected response has fallen by 60 nats, the chosen one by a half. What is left of
# the pushes? Left: computed from the loss. Right: the formula, with σ(−m) for each loss's own m.

# %%
u, v, w, penalty = -0.5, -60.0, 0.01, 50.0
late = lab.PairLogProbs(*(torch.tensor([[each]], dtype=torch.float64) for each in (u - 0.8, v - 0.8, -0.8, -0.8)))
fade = {
    "DPO": 1 / (1 + np.exp(0.1 * (u - v))),
    "Flex": 1 / (1 + np.exp(0.1 * u - 0.02 * v)),
    "SFT": 1 / (1 + np.exp(0.1 * (u - v))),
    "DPOP": 1 / (1 + np.exp(0.1 * (u - v + penalty * u))),
}
right = {
    "DPO": (-0.1 * fade["DPO"], 0.1 * fade["DPO"]),
    "Flex": (-0.1 * fade["Flex"], 0.02 * fade["Flex"]),
    "SFT": (-0.1 * fade["SFT"] - w, 0.1 * fade["SFT"]),
    "DPOP": (-0.1 * (1 + penalty) * fade["DPOP"], 0.1 * fade["DPOP"]),
}
left = {
    "DPO": lab.DPO(0.1),
    "Flex": lab.FlexDPO(0.1, 0.02),
    "SFT": lab.WeightedSum((lab.DPO(0.1), lab.SFT()), (1.0, w)),
    "DPOP": lab.DPOP(0.1, penalty),
}
for name, objective in left.items():
    found = [push.item() for push in objective.response_weights(late)]
    apart = max(abs(one - other) for one, other in zip(found, right[name], strict=True))
    print(f"{name:4} a+ = {found[0]:+.6f}, a- = {found[1]:+.6f}, ratio {-found[0] / found[1]:8.1f}, off by {apart:.0e}")

# %% [markdown]
# DPO pushes both alike, and hardly. Every fix makes the chosen push the stronger of the two: Flex-DPO by β⁺/β⁻ at all
# times, the SFT term by a push that stands while the other fades, DPOP by 1 + λ once the chosen response is below its
# start. Their names differ more than their work does:
# [flex_and_sft_do_the_same_work](../CLAIMS.md#flex_and_sft_do_the_same_work).

# %% exercise 6.5

# %%
check("6.5", dpop_loss)

# %% exercise 6.6

# %%
check("6.6", tune)

# %%
tuned = lab.run(f"{reference('6.6')()} seeds=20 every=500 keep=none dtype=float32")
for scenario in ("s1", "s2"):
    margin, end = (values.squeeze() for values in drawings.ends(tuned.sel(scenario=scenario)))
    print(f"{scenario}: chosen {end.median():.3f}, lowest seed {end.min():.3f}, margin {margin.median():.0f} nats")

# %% [markdown]
# In the median one pair of betas held both scenarios. With an SFT term the same takes one number, and the margin
# hardly changes.

# %% exercise 6.7

# %%
check("6.7", cheapest_weight)

# %%
sft = fixes["SFT term"]
for scenario in ("s1", "s2"):
    margin, end = drawings.ends(sft.sel(scenario=scenario))
    best = reference("6.7")(sft.sft_weight.values, end.values.reshape(sft.sizes["sft_weight"], -1), 0.9)
    print(f"{scenario}: smallest weight that keeps 0.9 in 19 of 20 seeds: {best:g}")
    dpo = drawings.ends(flex.sel(scenario=scenario, beta_rejected=0.1))
    print(f"    DPO itself  : chosen {dpo[1].median():.4f}, margin {dpo[0].median():5.1f} nats")
    for weight in sft.sft_weight.values:
        kept, reached = (values.sel(sft_weight=weight).median().item() for values in (end, margin))
        print(f"    weight {weight:5g}: chosen {kept:.4f}, margin {reached:5.1f} nats")

# %% [markdown]
# Where the chosen response starts likely, a thousandth is enough; where it starts unlikely, a hundredth. The price up
# to there is a few nats of margin; at weight 1 it is half of the margin in s2. The claim
# [a_hundredth_of_sft_travels](../CLAIMS.md#a_hundredth_of_sft_travels) has more settings.
#
# ## What this says about a real run
#
# - **Change the data before the loss.** Where the pairs come from (notebook 05) moves the chosen response about as
#   far as the loss does.
# - **Is anything still pushing the chosen response?** Plot `logps/chosen`. If it falls while the margin grows, its
#   own push has faded and others move it.
# - **Then add a small SFT term**, weight 0.01 or β/10, or stop where `logps/chosen` stalls. Both are settings of the
#   common trainers. The stop helps only where the chosen response was likely at the start.
# - **A smaller β⁻ does not protect the rejected response.** If a collapse of log π⁻ is your trouble, take a loss with
#   a stop, not Flex-DPO.
# - **Mistrust comparisons at equal steps.** Ask for the same table at equal margin or equal KL.
# - This is a network with 40 outputs, each response one token. Length, which SimPO is about, is not in it.
#
# ## Five questions
#
# **1.** IPO and DPO end at different probabilities after 500 steps, and at the same at D = 4.5. What differs between
# them?
#
# <details><summary>Answer</summary>How far they go. Losses of D alone push both responses alike, and so take the same
# path as long as they move; IPO turns round at 1/(2β).</details>
#
# **2.** KTO drives log π⁻ as deep as DPO does. Why does its chosen response not fall?
#
# <details><summary>Answer</summary>Its push on the chosen response depends on u alone, so it does not fade when the
# rejected response is gone.</details>
#
# **3.** Someone says: "β⁻ below β⁺ keeps the rejected response from collapsing." What do you show them?
#
# <details><summary>Answer</summary>log π⁻ at the end for several β⁻: it is lower, not higher, since a weaker pull
# needs a deeper fall to reach the same margin.</details>
#
# **4.** Why does a weight of 0.01 suffice, ten times smaller than β?
#
# <details><summary>Answer</summary>It need not outweigh DPO's push at the start, only what is left of it late in the
# run. By line 5 that is about a thousandth of β/2 when the rejected response has fallen by 74 nats, and the SFT push
# has not faded.</details>
#
# **5.** Why does DPOP do so little in s2?
#
# <details><summary>Answer</summary>It acts below the reference only. The chosen response of s2 starts at 0.02 and can
# lose most of what it gained and still be above that.</details>

# %%
lab.course.stamp()
