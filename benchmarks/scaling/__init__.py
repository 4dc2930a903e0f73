"""How the lab's cost and memory grow with runs, steps, prompts, responses, pairs and parameters."""
