"""Prediction of labels and entities with a trained student."""
