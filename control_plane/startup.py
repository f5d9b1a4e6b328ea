"""The first lines of the control plane's processes: settings, logs, and the exit status."""

from __future__ import annotations

import sys
from collections.abc import Callable

from pydantic import ValidationError

from control_plane import logs
from control_plane.errors import SettingRefused
from control_plane.settings import Settings


def run(serve: Callable[[Settings], None]) -> int:
    """Call `serve` with the settings; returns the exit status.

    0 after an orderly end; 2, with a line that names the variable, for settings that cannot be used. `serve`
    raises OSError or SettingRefused for those it finds out about itself, such as a taken port.
    """
    try:
        settings = Settings()
        logs.configure(settings.environment, settings.log_level)
    except ValidationError as error:
        for each in error.errors():
            name = "_".join(str(part) for part in each["loc"]).upper()
            sys.stderr.write(f"{name}: {each['msg']}\n")
        return 2
    except ValueError as error:
        sys.stderr.write(f"LOG_LEVEL: {error}\n")
        return 2
    try:
        serve(settings)
    except (OSError, SettingRefused) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0
