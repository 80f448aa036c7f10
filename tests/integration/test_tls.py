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
from typing import Any, NamedTuple

import pytest
import requests
import trustme
import yaml
from prometheus_client import CollectorRegistry

from exporter import SharedStats
from exporter.metrics import CERTIFICATE_EXPIRES, HTTP_REFUSED, VIEWERS, WEB_CONFIG_SUCCEEDED
from exporter.web.server import Server, serve
from tests.certificates import write_pair
from tests.targets import Target, Targets
from tooling.processes import local_session
from tooling.prometheus import Prometheus, running_prometheus

pytestmark = pytest.mark.integration

DOCUMENT = Path(__file__).parents[2] / "docs" / "security.md"
SNIPPETS = dict(re.findall(r"```yaml\n# (\S+)\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL))
INTERVAL = {"scrape_interval": "200ms", "scrape_timeout": "200ms"}
# How many tests scrape with each snippet.
SCRAPED = {"tls": 10, "mutual": 2, "passwords": 3}


class Scraper(NamedTuple):
    """A Prometheus with several targets for each snippet, which finds its files in ``folder``."""

    prometheus: Prometheus
    folder: Path
    targets: dict[str, Targets]


@pytest.fixture(scope="module")
def scraper(prometheus_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraper]:
    folder = tmp_path_factory.mktemp("tls")
    write_files(folder)  # Prometheus reads them when it starts, and again when they change
    with ExitStack() as running:
        targets = {name: running.enter_context(Targets(name, count)) for name, count in SCRAPED.items()}
        jobs = [scrape_job(name, target, folder) for name, some in targets.items() for target in some.all]
        configuration = yaml.safe_dump({"global": INTERVAL, "scrape_configs": jobs})
        prometheus = running.enter_context(running_prometheus(prometheus_program, folder / "prometheus", configuration))
        yield Scraper(prometheus, folder, targets)


def scrape_job(snippet: str, target: Target, folder: Path) -> dict[str, Any]:
    """The snippet's job, for one target and under the target's name."""
    text = SNIPPETS[f"prometheus/{snippet}.yml"].replace("exporter.example:9309", target.address)
    # Prometheus looks for files beside its configuration, which here is in a folder of its own.
    text = re.sub(r"(_file: )(\S+)", lambda match: f"{match[1]}{folder / match[2]}", text)
    [job] = yaml.safe_load(text)["scrape_configs"]
    return {**job, "job_name": target.job}


def write_files(folder: Path) -> trustme.CA:
    """Write the certificates and the password of both sides; return the authority."""
    authority = trustme.CA()
    write_pair(folder, authority)
    write_pair(folder, authority, "prometheus.example", stem="prometheus")
    (folder / "password.txt").write_text("change-me\n")
    return authority


class Scraping(NamedTuple):
    """A target of the Prometheus: its samples, and what went wrong."""

    prometheus: Prometheus
    target: Target

    def mine(self, name: str) -> str:
        return f'{name}{{job="{self.target.job}"}}'

    def is_scraped(self) -> None:
        self.prometheus.wait_until_scraped(self.target.job)
        self.wait_for(VIEWERS.name, 45000)

    def wait_for(self, name: str, value: float) -> None:
        self.prometheus.wait_for(self.mine(name), lambda samples: [sample.value for sample in samples] == [value])

    def problem(self) -> str:
        """Return why the newest scrape failed, as Prometheus's page of targets has it; empty if it did not."""
        targets = self.prometheus.get("targets")["activeTargets"]
        return next((str(each["lastError"]) for each in targets if each["scrapePool"] == self.target.job), "")


class Site:
    """A folder with the files of both sides, exporters, and the Prometheus that scrapes them."""

    def __init__(self, scraper: Scraper, running: ExitStack) -> None:
        self.folder = scraper.folder
        self.authority = write_files(self.folder)
        self._scraper = scraper
        self._running = running

    def serve(self, snippet: str, port: int = 0) -> Server:
        file = self.folder / "web.yml"
        file.write_text(SNIPPETS[f"exporter/{snippet}.yml"])
        store = SharedStats.create()
        store.update_viewers("xQc", 45000)
        return self._running.enter_context(serve(port, stats=store, registry=CollectorRegistry(), web_config=file))

    def scrape(self, exporters: str, prometheus: str = "") -> tuple[Server, Scraping]:
        """Serve with one snippet, and have it scraped with the one of the same name, or with another."""
        target = self._scraper.targets[prometheus or exporters].take()
        return self.serve(exporters, target.port), Scraping(self._scraper.prometheus, target)

    def session(self) -> requests.Session:
        session = local_session()
        session.verify = str(self.folder / "ca.pem")
        return session


@pytest.fixture
def site(scraper: Scraper) -> Iterator[Site]:
    with ExitStack() as running:
        yield Site(scraper, running)


def eventually(read: Callable[[], str], expected: str, seconds: float = 20) -> None:
    """Read until what is read holds what is expected."""
    deadline = time.monotonic() + seconds
    while expected not in (value := read()):
        assert time.monotonic() < deadline, value
        time.sleep(0.05)


@pytest.mark.parametrize("snippet", ["tls", "mutual", "passwords"])
def test_a_snippet_works(site: Site, snippet: str) -> None:
    server, scraping = site.scrape(snippet)
    assert server.url.startswith("https://")
    scraping.is_scraped()


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
    _, scraping = site.scrape(exporters, prometheus)
    eventually(scraping.problem, expected)
    assert scraping.prometheus.query(scraping.mine(VIEWERS.name)) == []


def test_a_wrong_password_is_told(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    (site.folder / "password.txt").write_text("guess\n")
    _, scraping = site.scrape("passwords")
    eventually(scraping.problem, "server returned HTTP status 401 Unauthorized")
    assert "missing or wrong user name or password from 127.0.0.1" in caplog.text
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
    else:
        trustme.CA().cert_pem.write_to_path(site.folder / "ca.pem")
    _, scraping = site.scrape("tls")
    eventually(scraping.problem, expected)
    eventually(lambda: caplog.text, "TLS handshake from 127.0.0.1 failed: ")


def soon(**distance: float) -> datetime:
    return datetime.now(UTC) + timedelta(**distance)


def test_a_certificate_that_expires_while_it_is_in_use_is_told(site: Site) -> None:
    ends = soon(seconds=6).replace(microsecond=0)
    write_pair(site.folder, site.authority, not_before=soon(days=-1), not_after=ends)
    server, scraping = site.scrape("tls")
    scraping.is_scraped()
    assert scraping.prometheus.value(scraping.mine(CERTIFICATE_EXPIRES.name)) == ends.timestamp()
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
        ("grafana", "client certificate from 127.0.0.1 has no name listed in client_allowed_sans"),
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
    server, scraping = site.scrape("tls")
    scraping.is_scraped()

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
    eventually(lambda: caplog.text, "the old one stays in force")
    assert (
        f"{site.folder / 'server-key.pem'} is not the key of the certificate in {site.folder / 'server.pem'}"
        in caplog.text
    )
    assert serial() == before
    scraping.wait_for(WEB_CONFIG_SUCCEEDED.name, 0)
    (site.folder / "server-key.pem").write_bytes(whole)
    scraping.wait_for(WEB_CONFIG_SUCCEEDED.name, 1)
    write_pair(site.folder, site.authority)
    eventually(lambda: str(serial() != before), "True")
    # Nobody was turned away all the while, and scrapes go on.
    metrics = requests.get(f"{server.url}/metrics", verify=str(site.folder / "ca.pem"), timeout=20).text
    assert f'{HTTP_REFUSED.name}{{reason="handshake"}} 0.0\n' in metrics
    scraping.is_scraped()


def test_the_documents_own_certificate_works(site: Site) -> None:
    """The command of the document makes a certificate that is its own authority."""
    command = re.search(r"```sh\n(openssl req .*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert command is not None
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not here")
    subprocess.run(["sh", "-ec", command[1]], cwd=site.folder, check=True, capture_output=True, timeout=60)
    (site.folder / "ca.pem").write_bytes((site.folder / "server.pem").read_bytes())
    _, scraping = site.scrape("tls")
    scraping.is_scraped()
