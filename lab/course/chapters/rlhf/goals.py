"""The learning goals of notebook 07, as its first cell has them."""

CLIMB = "climb the RLHF objective, exactly and by what a policy draws"
CLIP = "say what PPO's clip does, and when"
FAIR = "compare methods at equal KL and name their costs"
LEARNED = "say where a learned reward misleads, and when a reward model is worth it"
