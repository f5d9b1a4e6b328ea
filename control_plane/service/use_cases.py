"""What may be done with calls: the handlers that both APIs translate to."""

from __future__ import annotations

from dataclasses import dataclass

from control_plane.service.agents import Agents
from control_plane.service.dialing_rules import DialingRules
from control_plane.service.handlers import Calls
from control_plane.service.line import Line
from control_plane.service.listing import CallList
from control_plane.service.numbers import Numbers
from control_plane.service.views import CallViews
from control_plane.service.watching import Watching
from control_plane.service.webhooks import Webhooks


@dataclass(frozen=True)
class UseCases:
    """`bootstrap` makes them."""

    calls: Calls
    views: CallViews
    lists: CallList
    line: Line
    watching: Watching
    dialing: DialingRules
    webhooks: Webhooks
    agents: Agents
    numbers: Numbers
