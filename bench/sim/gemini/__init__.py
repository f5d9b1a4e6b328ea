"""A stand-in for the Gemini Live API (BidiGenerateContent) that speaks its real wire protocol.

`python -m bench.sim.gemini`. It either really listens and speaks (`--mode speech`, needs the demo extra) or
follows a script with tones for a voice (`--mode scripted`). It shares no code with the media plane: a codec
used on both sides would agree with itself about its own mistakes.
"""
