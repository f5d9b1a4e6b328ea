"""`voiceplane demo`: one real conversation through every part, told as it happens and measured from outside.

    stack up -> POST /calls -> WatchCall prints the conversation -> result from Postgres, ears from Twilio's
    simulator, the model's own log -> summary, picture, recording, JSON -> verdict

`run` is the whole of it; each file beside this one does one of those steps.
"""

from bench.demo.run import DemoOptions, run

__all__ = ["DemoOptions", "run"]
