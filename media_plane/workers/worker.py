"""`python -m media_plane.workers.worker`: one media node under a supervisor.

It pins itself before it imports anything that starts threads, and drains as on SIGTERM when the lifeline, a
pipe whose other end only the supervisor holds, comes to its end: a supervisor that is killed leaves no node
behind, and no call is cut before its time to finish is over.
"""

from __future__ import annotations

import argparse
import os


def main() -> None:
    parser = argparse.ArgumentParser(prog="media_plane.workers.worker")
    parser.add_argument("--lifeline-fd", type=int, required=True)
    parser.add_argument("--core", type=int)
    options = parser.parse_args()
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    import structlog

    from media_plane.__main__ import read_settings, run_node

    settings = read_settings()
    structlog.contextvars.bind_contextvars(node_id=settings.media_node_id)  # all workers share one log
    run_node(settings, lifeline_fd=options.lifeline_fd)


if __name__ == "__main__":
    main()
