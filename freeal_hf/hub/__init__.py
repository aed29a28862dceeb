"""Pushes rounds to the Hub and pulls them."""
