"""Benchmarks: one file per hot path, each printing our figure beside a peer's from the same run."""
