"""The command line: `voiceplane up | status | db | media | control | worker | demo`."""
