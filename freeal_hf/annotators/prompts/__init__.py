"""The prompts for an LLM, and the parsing of its answers."""
