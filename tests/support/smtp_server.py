"""A real mail server for the tests: aiosmtpd on three ports of this machine.

Prints one JSON line with its ports and the root certificate's file, then one per mail it takes:
{"port": "starttls", "tls": true, "user": "watchfire", "from": ..., "to": [...], "data": ...}
Recipients nobody@ and busy@ are refused for good (550) and for now (451). Ends when its input ends.
"""
import asyncio
import json
import logging
import ssl
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult

USER, PASSWORD = b"watchfire", b"correct horse"


def certificates(folder: Path) -> ssl.SSLContext:
    """A root of our own and a certificate of it for localhost."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Watchfire test root")
    openssl(
        "req", "-x509", *key, "-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", "server.key", "-out", "server.pem",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-addext", "basicConstraints=critical,CA:FALSE",
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return context


class Handler:
    def __init__(self, port: str) -> None:
        self.port = port

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("busy@"):
            return "451 4.3.2 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = {
            "port": self.port,
            "tls": session.ssl is not None or self.port == "tls",
            "user": session.auth_data.login.decode() if session.authenticated else None,
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "data": envelope.content.decode("utf-8", "replace"),
        }
        print(json.dumps(mail), flush=True)
        return "250 2.0.0 taken"


def authenticate(server, session, envelope, mechanism, data) -> AuthResult:
    is_right = (data.login, data.password) == (USER, PASSWORD)
    # `handled=False`: the library answers 535 itself.
    return AuthResult(success=is_right, handled=False, auth_data=data)


async def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        context = certificates(folder)
        loop = asyncio.get_running_loop()
        ports = {"ca": str(folder / "ca.pem")}
        for port in ("starttls", "tls", "none"):
            settings = {"hostname": "localhost"}
            if port == "starttls":
                settings |= {"tls_context": context, "require_starttls": True}
            if port != "none":
                settings |= {
                    "authenticator": authenticate, "auth_required": True, "auth_require_tls": port == "starttls",
                }
            server = await loop.create_server(
                lambda port=port, settings=settings: SMTP(Handler(port), **settings),
                "127.0.0.1", 0, ssl=context if port == "tls" else None,
            )
            ports[port] = server.sockets[0].getsockname()[1]
        print(json.dumps(ports), flush=True)
        await loop.run_in_executor(None, sys.stdin.read)


# Refused handshakes and missing TLS are what the tests are about.
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
asyncio.run(main())
