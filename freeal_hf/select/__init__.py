"""Strategies that choose which texts a person labels first, one class for each, with its source."""
