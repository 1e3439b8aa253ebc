"""Who may come in: tokens of both kinds, client certificates, scopes, limits, and the log of who did what."""
