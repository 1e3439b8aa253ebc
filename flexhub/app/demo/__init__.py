"""The demo: one day of a charging site, from flex-offers to bills."""
