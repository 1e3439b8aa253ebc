"""The suites that ship with flexhub."""
