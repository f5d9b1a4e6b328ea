"""TLS of both planes' gRPC servers, and of the clients between them, from files that settings name.

Files are read anew when they change: certificates that live for a day are renewed under running servers.
gRPC is imported where it is needed: settings are read, and found to be of use, before that.
"""

from __future__ import annotations

import logging
import os
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import grpc

_log = logging.getLogger(__name__)

Stamp = tuple[tuple[int, int, int], ...]


class TlsFault(Exception):
    """A certificate or key that can't be used; the message begins with the setting's name."""

    def __init__(self, setting: str, why: str) -> None:
        super().__init__(f"{setting}: {why}")
        self.setting = setting
        self.why = why


@dataclass(frozen=True)
class Pem:
    """A file that a setting names; `path` empty: none."""

    setting: str
    path: str

    def read(self) -> bytes | None:
        """None: there is none. Raises OSError."""
        if not self.path:
            return None
        with open(self.path, "rb") as file:
            return file.read()


@dataclass(frozen=True)
class Identity:
    """A certificate (with its chain) and its key, and the CA that the other side's must be from."""

    cert: Pem
    key: Pem
    ca: Pem

    def check(self) -> None:
        """Raises TlsFault: a file can't be read, holds something else, or does not go with another one."""
        for one, other in ((self.cert, self.key), (self.key, self.cert)):
            if one.path and not other.path:
                raise TlsFault(other.setting, f"must be set together with {one.setting}")
        for pem in self._files:
            try:
                pem.read()
            except OSError as error:
                raise TlsFault(pem.setting, f"{pem.path}: {error.strerror}") from None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.cert.path:
            try:
                # Without one, a key's passphrase would be asked for on the terminal.
                context.load_cert_chain(self.cert.path, self.key.path, password=lambda: "")
            except ssl.SSLError as error:
                if error.reason == "KEY_VALUES_MISMATCH":
                    raise TlsFault(
                        self.key.setting, f"is not the key of {self.cert.setting}'s certificate"
                    ) from None
                raise TlsFault(
                    self.cert.setting, f"with {self.key.setting}: not a certificate and its plain key in PEM"
                ) from None
        if self.ca.path:
            try:
                context.load_verify_locations(self.ca.path)
            except ssl.SSLError:
                raise TlsFault(self.ca.setting, f"{self.ca.path}: no certificates in PEM") from None

    def stamp(self) -> Stamp:
        """Another value when a file has changed. Raises OSError."""
        found = [os.stat(pem.path) for pem in self._files]
        return tuple((each.st_mtime_ns, each.st_size, each.st_ino) for each in found)

    def read(self) -> tuple[bytes | None, bytes | None, bytes | None]:
        """Certificate, key and CA; None where there is none. Raises OSError."""
        return self.cert.read(), self.key.read(), self.ca.read()

    @property
    def _files(self) -> list[Pem]:
        return [pem for pem in (self.cert, self.key, self.ca) if pem.path]


def server_credentials(identity: Identity) -> grpc.ServerCredentials | None:
    """What a server shows; with a CA, clients must show a certificate as well. None: it speaks in clear.

    Raises:
        TlsFault
    """
    if identity.ca.path and not identity.cert.path:
        raise TlsFault(identity.ca.setting, f"needs {identity.cert.setting} as well")
    identity.check()
    if not identity.cert.path:
        return None
    import grpc

    seen = identity.stamp()

    def configuration() -> grpc.ServerCertificateConfiguration:
        cert, key, ca = identity.read()
        return grpc.ssl_server_certificate_configuration([(key, cert)], ca)

    def changed() -> grpc.ServerCertificateConfiguration | None:
        """Asked before every handshake, on a thread of gRPC's; None: as before."""
        nonlocal seen
        try:
            stamp = identity.stamp()
            if stamp == seen:
                return None
            identity.check()
            found = configuration()
        except (OSError, TlsFault) as error:
            # Half written, perhaps: the next handshake looks again.
            _log.warning("TLS files are not taken: %s", error)
            return None
        seen = stamp
        return found

    return grpc.dynamic_ssl_server_credentials(
        configuration(), changed, require_client_authentication=bool(identity.ca.path)
    )


class ClientTls:
    """What a client asks of servers: a certificate of `identity.ca`, for `name` (empty: for the address it
    dials). It shows `identity.cert`, if there is one.

    Raises:
        TlsFault
    """

    def __init__(self, identity: Identity, name: str) -> None:
        identity.check()
        self._identity = identity
        self._stamp = identity.stamp()
        self._pems = identity.read()
        self.options = [("grpc.ssl_target_name_override", name)] if name else []

    def stamp(self) -> Stamp:
        """Another value once the files have changed, and `credentials` with them."""
        try:
            stamp = self._identity.stamp()
            if stamp != self._stamp:
                self._identity.check()
                self._pems = self._identity.read()
                self._stamp = stamp
        except (OSError, TlsFault) as error:
            # Half written, perhaps: the next request looks again.
            _log.warning("TLS files are not taken: %s", error)
        return self._stamp

    def credentials(self) -> grpc.ChannelCredentials:
        import grpc

        cert, key, ca = self._pems
        return grpc.ssl_channel_credentials(root_certificates=ca, private_key=key, certificate_chain=cert)


def client_tls(identity: Identity, name: str) -> ClientTls | None:
    """None: without a CA, the client speaks in clear.

    Raises:
        TlsFault
    """
    if identity.cert.path and not identity.ca.path:
        raise TlsFault(identity.cert.setting, f"needs {identity.ca.setting} as well")
    return ClientTls(identity, name) if identity.ca.path else None
