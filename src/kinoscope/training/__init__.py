"""Training: the generated video world, and what learns from it."""
