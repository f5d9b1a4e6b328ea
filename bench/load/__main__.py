"""The load process: `python -m bench.load`. Started and told what to do by bench.load.driver.

Says `{"ready": true, "port": …}` when its model server listens. Then, for each JSON line on standard input (a
Job's fields), runs it and writes one JSON line: `{"result": RunResult}` or `{"error": "why"}`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys

import uvloop

from bench.load.generator import Generator, Job, LoadFailed
from bench.load.process import say_ready


async def main() -> None:
    generator = Generator()
    await generator.start()
    lines = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    say_ready(port=generator.port)
    while line := await lines.readline():
        try:
            answer = {"result": dataclasses.asdict(await generator.run(Job(**json.loads(line))))}
        except LoadFailed as error:
            answer = {"error": {"why": str(error)}}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    generator.stop()


if __name__ == "__main__":
    uvloop.run(main())
