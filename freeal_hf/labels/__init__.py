"""Final labels, votes of several annotators, and metrics."""
