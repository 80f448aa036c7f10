"""Measurements, side by side with what there was before."""
