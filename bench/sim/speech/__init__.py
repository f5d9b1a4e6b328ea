"""Hearing and voice for the simulators, offline, from wheels alone.

`SpeechWorker` (worker.py) is what a simulator uses: `say(text, rate)` and `hear(pcm16k)`. The models live
in a child process (process.py), so that a second of transcription never stops a socket loop.

Needs the `demo` extra. piper-tts is GPL-3.0: it is imported by voice.py alone, and voice.py only by that
child process, which talks to the rest over pipes.
"""
