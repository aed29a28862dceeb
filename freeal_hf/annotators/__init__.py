"""Annotators, the driver that runs them, their prompts, and the cache of paid answers."""
