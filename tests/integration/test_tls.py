"""TLS, certificates of clients, and passwords: the documentation's snippets, with a real Prometheus as the client."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
import trustme
from prometheus_client import CollectorRegistry

from exporter import SharedStats
from exporter.metrics import CERTIFICATE_EXPIRES, VIEWERS, WEB_CONFIG_SUCCEEDED
from exporter.web.server import Server, serve
from tests.certificates import write_pair
from tests.conftest import StartPrometheus
from tests.integration.prometheus import Prometheus
from tooling.processes import local_session

pytestmark = pytest.mark.integration

DOCUMENT = Path(__file__).parents[2] / "docs" / "security.md"
SNIPPETS = dict(re.findall(r"```yaml\n# (\S+)\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL))
INTERVAL = "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"


class Site:
    """A folder with the certificates of both sides, an exporter, and a Prometheus beside it."""

    def __init__(self, folder: Path, start_prometheus: StartPrometheus, running: ExitStack) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self._start = start_prometheus
        self._running = running
        write_pair(folder, self.authority)
        write_pair(folder, self.authority, "prometheus.example", stem="prometheus")
        (folder / "password.txt").write_text("change-me\n")

    def serve(self, snippet: str) -> Server:
        file = self.folder / "web.yml"
        file.write_text(SNIPPETS[f"exporter/{snippet}.yml"])
        store = SharedStats.create()
        store.update_viewers("xQc", 45000)
        return self._running.enter_context(serve(0, stats=store, registry=CollectorRegistry(), web_config=file))

    def scrape(self, snippet: str, server: Server) -> Prometheus:
        text = SNIPPETS[f"prometheus/{snippet}.yml"].replace("exporter.example:9309", f"127.0.0.1:{server.port}")
        # Prometheus, too, takes files to be beside its configuration, which here is in a folder of its own.
        text = re.sub(r"(_file: )(\S+)", lambda match: f"{match[1]}{self.folder / match[2]}", text)
        return self._start(INTERVAL + text)

    def session(self) -> requests.Session:
        session = local_session()
        session.verify = str(self.folder / "ca.pem")
        return session


@pytest.fixture
def site(tmp_path: Path, start_prometheus: StartPrometheus) -> Iterator[Site]:
    with ExitStack() as running:
        yield Site(tmp_path, start_prometheus, running)


def problem(prometheus: Prometheus) -> str:
    """Return why the newest scrape failed, as Prometheus's page of targets has it; empty if it did not."""
    targets = prometheus.get("targets")["activeTargets"]
    return str(targets[0]["lastError"]) if targets else ""


def eventually(read: Callable[[], str], expected: str, seconds: float = 20) -> None:
    """Read until what is read holds what is expected."""
    deadline = time.monotonic() + seconds
    while expected not in (value := read()):
        assert time.monotonic() < deadline, value
        time.sleep(0.05)


def is_scraped(prometheus: Prometheus) -> None:
    prometheus.wait_until_scraped()
    prometheus.wait_for(VIEWERS.name, lambda samples: [sample.value for sample in samples] == [45000])


@pytest.mark.parametrize("snippet", ["tls", "mutual", "passwords"])
def test_a_snippet_works(site: Site, snippet: str) -> None:
    server = site.serve(snippet)
    assert server.url.startswith("https://")
    is_scraped(site.scrape(snippet, server))


@pytest.mark.parametrize(
    ("exporters", "prometheus", "expected"),
    [
        ("passwords", "tls", "server returned HTTP status 401 Unauthorized"),
        ("mutual", "tls", "tls: certificate required"),
    ],
)
def test_without_what_is_asked_for_there_is_no_scrape(
    site: Site, exporters: str, prometheus: str, expected: str
) -> None:
    server = site.serve(exporters)
    scraping = site.scrape(prometheus, server)
    eventually(lambda: problem(scraping), expected)
    assert scraping.query(VIEWERS.name) == []


def test_a_wrong_password_is_told(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    (site.folder / "password.txt").write_text("guess\n")
    scraping = site.scrape("passwords", site.serve("passwords"))
    eventually(lambda: problem(scraping), "server returned HTTP status 401 Unauthorized")
    assert "a request from 127.0.0.1 without the name and password of a user" in caplog.text
    assert "guess" not in caplog.text


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("elsewhere.example",), "certificate is valid for elsewhere.example, not exporter.example"),
        ((), "certificate signed by unknown authority"),
    ],
)
def test_a_certificate_that_prometheus_does_not_trust_is_told_on_both_sides(
    site: Site, names: tuple[str, ...], expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    if names:
        write_pair(site.folder, site.authority, *names)
    server = site.serve("tls")
    if not names:
        trustme.CA().cert_pem.write_to_path(site.folder / "ca.pem")
    scraping = site.scrape("tls", server)
    eventually(lambda: problem(scraping), expected)
    eventually(lambda: caplog.text, "TLS handshake from 127.0.0.1 failed: ")


def soon(**distance: float) -> datetime:
    return datetime.now(UTC) + timedelta(**distance)


def test_a_certificate_that_expires_while_it_is_in_use_is_told(site: Site) -> None:
    ends = soon(seconds=8).replace(microsecond=0)
    write_pair(site.folder, site.authority, not_before=soon(days=-1), not_after=ends)
    server = site.serve("tls")
    scraping = site.scrape("tls", server)
    is_scraped(scraping)
    assert scraping.value(CERTIFICATE_EXPIRES.name) == ends.timestamp()
    # A connection that stands is not asked again; a client that comes now is.
    eventually(lambda: reason_for_refusing(site, server), "certificate has expired")


def reason_for_refusing(site: Site, server: Server) -> str:
    """Connect as a new client; return why it would not, or nothing."""
    context = ssl.create_default_context(cafile=site.folder / "ca.pem")
    try:
        with (
            socket.create_connection(("127.0.0.1", server.port), timeout=10) as wire,
            context.wrap_socket(wire, server_hostname="exporter.example"),
        ):
            return ""
    except ssl.SSLCertVerificationError as refusal:
        return refusal.verify_message


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        ("expired", "certificate has expired"),
        ("stranger", "unable to get local issuer certificate"),
        ("grafana", "no name of the client's certificate from 127.0.0.1 is allowed"),
        ("nobody", "PEER_DID_NOT_RETURN_A_CERTIFICATE"),
    ],
)
def test_a_client_whose_certificate_will_not_do_is_told_in_the_log(
    site: Site, client: str, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = site.serve("mutual")
    name = ("prometheus.example",)
    if client == "expired":
        write_pair(site.folder, site.authority, *name, stem=client, not_before=soon(days=-2), not_after=soon(days=-1))
    elif client == "stranger":
        stranger = site.folder / "stranger"
        stranger.mkdir()
        write_pair(stranger, trustme.CA(), *name, stem="../stranger")
    elif client == "grafana":
        write_pair(site.folder, site.authority, "grafana.example", stem=client)
    with site.session() as session:
        if client != "nobody":
            session.cert = (str(site.folder / f"{client}.pem"), str(site.folder / f"{client}-key.pem"))
        with pytest.raises(requests.ConnectionError):
            session.get(server.url + "/-/healthy", timeout=10)
    eventually(lambda: caplog.text, expected)


def test_a_new_certificate_needs_no_restart_and_a_broken_one_does_no_harm(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    server = site.serve("tls")
    scraping = site.scrape("tls", server)
    is_scraped(scraping)

    def serial() -> str:
        context = ssl.create_default_context(cafile=site.folder / "ca.pem")
        with (
            socket.create_connection(("127.0.0.1", server.port), timeout=10) as wire,
            context.wrap_socket(wire, server_hostname="exporter.example") as secured,
        ):
            certificate = secured.getpeercert()
        return str(certificate["serialNumber"]) if certificate else ""

    before = serial()
    whole = (site.folder / "server-key.pem").read_bytes()
    (site.folder / "server-key.pem").write_bytes((site.folder / "prometheus-key.pem").read_bytes())
    eventually(lambda: caplog.text, "the one before stays in force")
    assert (
        f"expected the key of the certificate in {site.folder / 'server.pem'}, got the key of another one"
        in caplog.text
    )
    assert serial() == before
    scraping.wait_for(WEB_CONFIG_SUCCEEDED.name, lambda samples: [sample.value for sample in samples] == [0])
    (site.folder / "server-key.pem").write_bytes(whole)
    scraping.wait_for(WEB_CONFIG_SUCCEEDED.name, lambda samples: [sample.value for sample in samples] == [1])
    write_pair(site.folder, site.authority)
    eventually(lambda: str(serial() != before), "True")
    # Scraped all the while, on the connection that it had.
    assert scraping.value("min_over_time(up[2s])") == 1


def test_the_documents_own_certificate_works(site: Site) -> None:
    """The command of the document makes a certificate that is its own authority."""
    command = re.search(r"```sh\n(openssl req .*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert command is not None
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not here")
    subprocess.run(["sh", "-ec", command[1]], cwd=site.folder, check=True, capture_output=True, timeout=60)
    (site.folder / "ca.pem").write_bytes((site.folder / "server.pem").read_bytes())
    is_scraped(site.scrape("tls", site.serve("tls")))
