"""The hub as a VEN of others: registration, polling or push, events into the core, opts, and reports."""
