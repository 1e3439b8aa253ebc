"""The figures: one module per hot path, our figure beside a peer's where there is one.

A module has `run() -> list[Figure]`; `python -m benchmarks` finds it, runs it in a process of its own and writes
`build/bench.json`.
"""
