"""The composition root: configuration, wiring, the hub loop, REST, pages and the command line."""
