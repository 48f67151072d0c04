"""One file a scenario: NAME, PROMISE, and `run(stack, seed=…, size=…) -> Scores`."""
