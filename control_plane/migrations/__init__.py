"""The database's schema, by Alembic: `python -m control_plane.migrations upgrade|downgrade|current|history`.

`voiceplane db …` and the dev stack call the functions below.
"""

from __future__ import annotations

from control_plane.migrations.commands import current, downgrade, history, upgrade

__all__ = ["current", "downgrade", "history", "upgrade"]
