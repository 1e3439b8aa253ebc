"""What the suites of UFTP endpoints work with: a market, an inbox, the target, and a row per thing that is tried."""
