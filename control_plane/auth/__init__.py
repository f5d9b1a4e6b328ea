"""Who may ask for what: API keys, tokens of an OAuth server, and the one table of scopes (docs/auth.md)."""
