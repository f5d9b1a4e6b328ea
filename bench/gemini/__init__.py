"""Scenarios of the model's leg: each a command that shows one figure and holds it to a bar."""

import os

# Read when grpc is imported: these scenarios start children while they have channels open.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
