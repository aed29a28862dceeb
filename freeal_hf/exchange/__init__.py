"""Sentences with entities in the formats of other tools."""
