"""The explorer's first scene: one training, from its line to what every response did."""
