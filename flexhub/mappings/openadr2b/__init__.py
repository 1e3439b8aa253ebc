"""OpenADR 2.0b to the core and back: events, reports, opts, and the answers to events."""
