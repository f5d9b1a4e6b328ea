"""`voiceplane bench …`, which is `python -m bench …`: measure, hold to a baseline, report."""
