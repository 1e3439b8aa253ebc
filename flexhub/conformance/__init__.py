"""Suites that check every mapping and endpoint, rule by rule; ships with the package."""
