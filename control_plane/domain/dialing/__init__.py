"""The dialing policy: pure rules on whom may be called, when, and how much (docs/dialing.md)."""
