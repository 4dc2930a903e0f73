"""The learning goals of notebook 01, as its first cell has them."""

DERIVE = "derive the optimum and compute it safely"
READ = "read β as a price and as a temperature"
PARTITION = "weigh E r against KL, and say where Z goes"
