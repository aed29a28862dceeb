"""The student's half: train a small classifier on noisy labels, and tell the clean labels from the wrong ones."""
