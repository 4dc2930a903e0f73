"""The race: the lab against the plain PyTorch loop and against JAX, on the same runs with the same recordings."""
