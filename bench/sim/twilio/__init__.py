"""A Twilio stand-in that speaks Twilio's real wire: REST, signed webhooks, TwiML and Media Streams.

`python -m bench.sim.twilio` runs it. It imports neither plane: a codec shared with the code under test would
be a shared bug. Wire facts are from Twilio's public documentation; where that is silent, the choice made is
named in the docstring of the code that makes it.
"""
