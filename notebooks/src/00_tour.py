# %% [markdown]
# # 00 · A tour in three minutes
#
# *3 minutes · you need: to have heard of DPO · the last cell prints the run time*
#
# Direct Preference Optimization trains a policy on pairs: a **chosen** and a **rejected** response. It is told which of the two to
# prefer, and it learns that. Users are surprised by what else happens: the chosen response itself often loses probability.
#
# Here the world has 4 prompts with 10 responses each, so every probability and every gradient is known exactly.
#
# ## Predict first
#
# A small network starts with the chosen and the rejected response of each prompt at probability 0.45 and takes 500 steps. Where does
# the chosen response end?
#
# - **(a)** near its highest point: it is what DPO is asked to prefer;
# - **(b)** well below its highest point, but above its start;
# - **(c)** below where it started.
#
# Decide before you read on.

# %%
import pandas as pd

import lab
from lab.claims.report import read_verdicts
from lab.course import stamp

line = "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24"

# %% [markdown]
# Such a line says all of an experiment, from left to right: a network (`mlp`), pairs whose two responses both start likely (`s1`), the
# loss, β, the optimiser and its learning rate, 500 steps, 24 seeds. `python -m lab lines` explains every word that there is.
#
# The explorer asks you the same, and shows the run once you have answered. Then change whatever you like: drag β, move the cursor over
# the steps, pin a run and compare. What it shows is always one line that you can copy.

# %%
lab.explore(line, predict=True)

# %% [markdown]
# And here is the run as a picture, at its last step:

# %%
lab.show(*lab.explorer.twin(line))

# %% [markdown]
# Thick lines are medians over 24 seeds, bands their 95 % bootstrap intervals, and every seed stands faint behind. The answer is **(b)**,
# and the loss falls all the time. Three properties are measured, each with a threshold and an interval, after an audit of step 0:

# %%
record = lab.run(line)
print(lab.properties.measure(record))

# %% [markdown]
# ## Six stops
#
# Each stop is one line with a caption and a question. Below the explorer stands the same tour as a strip of pictures.

# %%
lab.tour()

# %%
lab.show(*lab.explorer.strip())

# %% [markdown]
# **Why a table cannot do this.** Give every prompt and response a logit of its own. With one pair a prompt, a small step of size η
# changes log π⁺ by ηs(1 − π⁺ + π⁻) > 0, where s = βσ(−margin) is the push on the pair: the chosen response never falls. What a table
# lacks is sharing. In a network the step changes it by about ηs(‖g⁺‖² − ⟨g⁺,g⁻⟩), with g = ∇ log π, and steps for other prompts move it
# as well. Notebook 04 derives both.
#
# ## What holds of the papers' claims?
#
# Each claim is recomputed with 24 seeds and gets a computed verdict, for the paper or against it. `python -m lab.claims` regenerates
# [CLAIMS.md](../CLAIMS.md), which has the numbers behind every verdict. How many there are of each:

# %%
with open("../CLAIMS.md", encoding="utf-8") as file:
    verdicts = pd.Series(read_verdicts(file.read()))
verdicts.str.extract(r"\*\*(.+?)\*\*")[0].value_counts().rename_axis("verdict").to_frame("claims")

# %% [markdown]
# ## Go on
#
# - [01](01_the_optimum.ipynb) to [03](03_dpo.ipynb) derive DPO and check every line of the derivation in numbers; from
#   [04](04_three_properties.ipynb) on you measure what it does.
# - A comma in a line makes an axis: `lab.run("mlp s1,s2,s3,s4 dpo beta=0.05,0.1,0.5 ...")` is a sweep, and `lab.picture` draws it.
# - The same from a shell: `python -m lab run "mlp s2 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24"`.
# - Every figure of the gallery is one file in `figures/`; `python -m figures --list` names them.

# %%
print(record.attrs["experiment"])
stamp()
