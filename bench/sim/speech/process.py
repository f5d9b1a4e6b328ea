"""The speech process: `python -m bench.sim.speech.process [--no-hearing] [--no-voice]`, jobs by pipe.

Started by `SpeechWorker`; nobody else need run it. One thread works: hearing before voice, since a caller is
waiting for an answer to what was heard, and one core is all that a simulator may take from what it measures.
The process ends when its standard input does, so it never outlives the simulator.

piper-tts is GPL-3.0 and is loaded here and nowhere else.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from bench.sim.speech.cache import write_sentence
from bench.sim.speech.pipe import PREFIX, pack

_HEAR, _SAY = 0, 1  # priorities

_Job = tuple[int, int, dict[str, Any], bytes]


class _Jobs:
    """What is to be done, most urgent first; filled by the reading thread."""

    def __init__(self) -> None:
        self._queue: queue.PriorityQueue[_Job] = queue.PriorityQueue()
        self._forgotten: set[int] = set()

    def read_from(self, stream: BinaryIO) -> None:
        """Take messages until the stream ends, then end the process."""
        while len(prefix := stream.read(PREFIX.size)) == PREFIX.size:
            header_size, payload_size = PREFIX.unpack(prefix)
            header = json.loads(stream.read(header_size))
            payload = stream.read(payload_size)
            if header["do"] == "forget":
                self._forgotten.add(header["id"])
            else:
                priority = _HEAR if header["do"] == "hear" else _SAY
                self._queue.put((priority, header["id"], header, payload))
        os._exit(0)  # the simulator is gone; whatever is being computed has no reader

    def next(self) -> tuple[dict[str, Any], bytes]:
        """Wait for the most urgent job that wasn't forgotten."""
        while True:
            _, number, header, payload = self._queue.get()
            if number not in self._forgotten:
                return header, payload
            self._forgotten.discard(number)


def main() -> None:
    """Load the models, warm them up, say `ready`, and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--no-hearing", action="store_true")
    parser.add_argument("--no-voice", action="store_true")
    options = parser.parse_args()

    # Signals to the group are the simulator's to handle; this process ends with its standard input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not write into the messages
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("OMP_NUM_THREADS", "1")

    jobs = _Jobs()
    threading.Thread(target=jobs.read_from, args=(sys.stdin.buffer,), daemon=True).start()

    voice = hearing = None
    # Each model is warmed by one use: the first costs twice what later ones do.
    if not options.no_voice:
        from bench.sim.speech.voice import Voice

        voice = Voice()
        voice.say("Hello.", 16_000)
    if not options.no_hearing:
        from bench.sim.speech.hearing import RATE, Hearing

        hearing = Hearing()
        hearing.hear(np.random.default_rng(1).integers(-300, 300, RATE, np.int16))

    def reply(header: dict[str, Any], payload: bytes = b"") -> None:
        replies.write(pack(header, payload))
        replies.flush()

    reply({"ready": True})
    while True:
        job, payload = jobs.next()
        started_ns = time.monotonic_ns()
        if job["do"] == "hear" and hearing is not None:
            text = hearing.hear(np.frombuffer(payload, np.int16))
            reply({"id": job["id"], "text": text, "ms": (time.monotonic_ns() - started_ns) / 1e6})
        elif job["do"] == "say" and voice is not None:
            pcm = voice.say(job["text"], job["rate"])
            reply({"id": job["id"]}, pcm.tobytes())
            if job["path"] is not None:
                write_sentence(Path(job["path"]), job["rate"], pcm)
        else:
            reply({"id": job["id"], "error": f"this speech process was started without {job['do']}"})


if __name__ == "__main__":
    main()
