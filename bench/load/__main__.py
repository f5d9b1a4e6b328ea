"""The load process: `python -m bench.load [CERTIFICATE KEY]`. bench.load.driver tells it what to do.

Says `{"ready": true, "port": …, "tls_port": …}` when its model server listens (tls_port 0: only the plain
one). Then, for each JSON line on standard input (a Job's fields), runs it and writes one JSON line:
`{"result": RunResult}` or `{"error": {"why": …}}`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import ssl
import sys

import psutil
import uvloop

from bench.load.generator import Generator, Job, LoadFailed
from bench.load.process import say_ready


async def main() -> None:
    generator = Generator()
    tls = None
    if sys.argv[1:]:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*sys.argv[1:])
    await generator.start(tls)
    lines = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    say_ready(port=generator.port, tls_port=generator.tls_port)
    while line := await lines.readline():
        try:
            answer = {"result": dataclasses.asdict(await generator.run(Job(**json.loads(line))))}
        except LoadFailed as error:
            answer = {"error": {"why": str(error)}}
        except psutil.NoSuchProcess:
            answer = {"error": {"why": "the process under load died; see its log"}}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    generator.stop()


if __name__ == "__main__":
    uvloop.run(main())
