"""Aggregation, disaggregation and measures of flexibility."""
