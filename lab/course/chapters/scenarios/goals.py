"""The learning goals of notebook 05, as its first cell has them."""

START = "tell from the start of a pair where a table's mass will go"
MEASURE = "measure which cell shows which of the three properties"
SURE = "say how sure a number over seeds is"
CLAIM = "decide a claim by intervals, and see when its words are ambiguous"
CAUSE = "tell a property of the data from a property of the training"
