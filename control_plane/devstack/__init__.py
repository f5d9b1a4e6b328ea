"""The whole system as child processes: for `voiceplane up`, the demo and the tests."""

import os

# A child that changes its user (root's PostgreSQL) is made by a real fork. gRPC's fork handlers would start
# threads in it, in the moment before it becomes another program, and now and then those crash it. gRPC reads
# this when it is first imported; so it is set here, before any of our modules does that.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
