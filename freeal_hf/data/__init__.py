"""Reads any table as rows of texts or sentences."""
