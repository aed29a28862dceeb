"""The loop: annotate, train, feed back, refine."""
