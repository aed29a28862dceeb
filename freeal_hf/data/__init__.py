"""Reads tables of texts or sentences, and human labels."""
