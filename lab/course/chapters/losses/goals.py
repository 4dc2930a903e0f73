"""The learning goals of notebook 06, as its first cell has them."""

WRITE = "write a loss as a function of the two log-ratios, and read its target off it"
FADE = "say what a loss does to the chosen response once the rejected one is gone"
FAIR = "compare losses at equal margin and at equal KL, not only at equal steps"
FIX = "name the fixes that hold the chosen response, and the price of each"
