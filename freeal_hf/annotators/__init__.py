"""The LLM's half: annotators, the driver that runs them, prompts and the cache of paid answers."""
