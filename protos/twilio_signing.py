"""Whether Twilio sent a request: its signature over the public address and form, in either of two schemes.

X-Twilio-Signature is HMAC-SHA1 with the account's auth token; or, when X-Twilio-Webhooks-Signature-Settings
names a shared key, HMAC-SHA256 with that key's secret. Source: Twilio's "Webhooks security" and its library,
which tests hold this to. Both planes check, and the media plane does without that library. No sockets.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit, urlunsplit

SIGNATURE_HEADER = "X-Twilio-Signature"
SETTINGS_HEADER = "X-Twilio-Webhooks-Signature-Settings"


class Verifier:
    """What requests may be signed with.

    Args:
        auth_token: the account's; empty: nothing is signed with it, since an empty key is a public one.
        key_id: of the shared key; empty: none is in use.
        key_secret: its secret; empty: as above.
    """

    def __init__(self, auth_token: str, key_id: str = "", key_secret: str = "") -> None:
        self._token = auth_token.encode()
        self._key_id = key_id
        self._secret = key_secret.encode()

    @property
    def armed(self) -> bool:
        """Whether any signature can be right."""
        return bool(self._token or (self._key_id and self._secret))

    def verify(self, url: str, fields: Iterable[tuple[str, str]], signature: str, settings: str = "") -> bool:
        """Whether `signature` is right.

        Args:
            url: as Twilio requested it, with its query.
            fields: the form's, decoded; a name may come several times.
            signature, settings: the two headers; empty when absent.
        """
        if not signature:
            return False
        key, algorithm = self._token, "sha1"
        if settings:
            # A request that names a key is believed for that key alone, and never in the weaker scheme.
            told = _settings(settings)
            if told.get("key") != self._key_id or told.get("algorithm", "").upper() != "HMAC_SHA256":
                return False
            key, algorithm = self._secret, "sha256"
        if not key:
            return False
        form = "".join(name + value for name, value in sorted(set(fields)))
        right = [_sign(key, each + form, algorithm) for each in _addresses(url)]
        return any(hmac.compare_digest(each, signature.encode()) for each in right)

    def verify_upgrade(self, url: str, signature: str, settings: str = "") -> bool:
        """Of a stream's WebSocket. `url`: `wss://host/path`, without a query, which Twilio does not send."""
        # Field reports have it signed with a slash at the end, too.
        return self.verify(url, (), signature, settings) or self.verify(f"{url}/", (), signature, settings)


def _sign(key: bytes, text: str, algorithm: str) -> bytes:
    return base64.b64encode(hmac.new(key, text.encode(), algorithm).digest())


def _addresses(url: str) -> list[str]:
    """The address as it is, and with the default port taken off or put on: Twilio has done either."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    port = {"https": "443", "http": "80", "wss": "443", "ws": "80"}.get(parts.scheme, "")
    other = host.removesuffix(f":{port}") if host.endswith(f":{port}") else f"{host}:{port}"
    if not port or (parts.port is not None and other != host.removesuffix(f":{port}")):
        return [url]
    return [url, urlunsplit(parts._replace(netloc=other))]


def _settings(header: str) -> Mapping[str, str]:
    """`key=<id>,algorithm=HMAC_SHA256`."""
    pairs = (part.partition("=") for part in header.split(","))
    return {name.strip(): value.strip() for name, _, value in pairs}
