"""Which verb comes next: a TwiML document read from top to bottom, and replaced as Twilio replaces it. No
sockets.

plan = Plan(document, url)
while verb := plan.next(): ...; plan.replace(other_document, its_url)
"""

from __future__ import annotations

from urllib.parse import urljoin

from bench.sim.twilio.twiml import Document, Hangup, Pause, Redirect, Reject, Verb


class Plan:
    """The document under execution and the place in it. The end of a document is a hang-up."""

    def __init__(self, document: Document, url: str) -> None:
        self._verbs = iter(document.verbs)
        self.url = url  # relative addresses are resolved against it; empty for TwiML given over REST

    def next(self) -> Verb:
        """The next verb."""
        return next(self._verbs, Hangup())

    def replace(self, document: Document, url: str) -> None:
        """An action, a redirect or an update brought another document; the old one is never returned to."""
        self._verbs = iter(document.verbs)
        self.url = url

    def resolve(self, url: str) -> str:
        """An absolute address; an empty one is the document's own."""
        return urljoin(self.url, url)


def answers(verb: Verb) -> bool:
    """Whether an inbound call is picked up to execute this verb. A `<Hangup>` answers first."""
    return not isinstance(verb, Reject | Pause | Redirect)
