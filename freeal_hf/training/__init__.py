"""Training of the student: a small classifier that learns from noisy labels and selects the clean ones."""
