"""How the methods of RLHF are drawn, the same in every figure that compares them."""

from __future__ import annotations

from lab import plots

METHODS: dict[str, plots.Role] = {
    "optimum": plots.Role("exact optimum", "#000000", "solid", 1.0, "."),
    "dpo": plots.role("dpo"),
    "online": plots.Role("online DPO", "#3D9BE9", "solid", 1.0, "P"),
    "ipo": plots.role("ipo"),
    "ppo": plots.Role("PPO", "#C2185B", "dashed", 1.0, "s"),
    "ppo_gt": plots.Role("PPO-GT", "#7B1FA2", "dashdot", 1.0, "^"),
    "rm": plots.Role("reward model", "#A8480A", "dashed"),
    "best_of_n": plots.Role("Best-of-N", "#B8860B", "dotted", 1.0, "X"),
    "sft": plots.Role("SFT on chosen", "#140027", "solid", 0.8, "v"),
    "unlikelihood": plots.Role("unlikelihood", "#7A7A7A", "dashed", 0.8, "p"),
}
