"""Annotation and prediction on a Ray cluster."""
