"""The training loop, its state, optimisers and learning-rate schedules."""
