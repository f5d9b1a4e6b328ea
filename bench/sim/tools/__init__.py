"""A tool server stand-in: answers agents' function calls, and misbehaves when told to."""
