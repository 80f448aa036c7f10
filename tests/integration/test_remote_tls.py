"""Clipper processes that push to an exporter with TLS and passwords, as the documentation has it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import bcrypt
import pytest
import trustme
import yaml
from prometheus_client import CollectorRegistry

from exporter import RemoteStats, SharedStats
from exporter.pusher.transport import HttpTransport
from exporter.web.server import Server, serve
from tests.certificates import write_pair
from tooling.processes import local_session

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
USERS = {"clipper": "change-me", "clip per@h\u00f6me": "p:\u00e4/?#[]@%41 \"'\u20ac"}
WRITE = """
from exporter import shared_stats as s
s.update_viewers("xQc", 5)
s.add_trigger("xQc", "raid")
print(s.flush(FLUSH))
s.close(0)
"""
HOSTS = ["127.0.0.1", "localhost", "0.0.0.0"]  # the last one leads here and is not known for it, as one elsewhere


class Site(NamedTuple):
    """An exporter, its store, and the file with the authority that signed its certificate."""

    server: Server
    store: SharedStats
    authority: Path

    def push(
        self,
        name: str,
        password: str,
        *,
        host: str = "127.0.0.1",
        flush: float = 15.0,
        without: str = "",
        **environ: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run a clipper that knows the exporter by its environment alone."""
        user = f"{quote(name, safe='')}:{quote(password, safe='')}"
        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "CLIPPER_EXPORTER_URL": f"https://{user}@{host}:{self.server.port}",
            "REQUESTS_CA_BUNDLE": str(self.authority),
            **environ,
        }
        environment.pop(without, None)
        return subprocess.run(
            [sys.executable, "-W", "error", "-c", WRITE.replace("FLUSH", str(flush))],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env=environment,
        )


@pytest.fixture
def start(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Site]:
    def started(push_token: str | None = None, **more: str) -> Site:
        authority = trustme.CA()
        write_pair(tmp_path, authority, "127.0.0.1", "0.0.0.0", "localhost")
        write_pair(tmp_path, authority, "clipper.example", stem="clipper")
        users = {name: bcrypt.hashpw(text.encode(), bcrypt.gensalt(4)).decode() for name, text in USERS.items()}
        tls = {"cert_file": "server.pem", "key_file": "server-key.pem"} | more
        (tmp_path / "web.yml").write_text(yaml.safe_dump({"tls_server_config": tls, "basic_auth_users": users}))
        store = SharedStats.create()
        server = serve(
            0,
            "0.0.0.0",
            stats=store,
            registry=CollectorRegistry(),
            push_token=push_token,
            web_config=tmp_path / "web.yml",
        )
        request.addfinalizer(server.stop)
        return Site(server, store, tmp_path / "ca.pem")

    return started


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(("name", "password"), USERS.items(), ids=["plain", "encoded"])
def test_a_users_name_and_password_are_what_pushing_needs(
    start: Callable[..., Site], name: str, password: str, host: str
) -> None:
    site = start()
    done = site.push(name, password, host=host, NO_PROXY="0.0.0.0")
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
    [row] = site.store.rows()
    assert (row.streamer, row.viewers, row.triggers["raid"]) == ("xQc", 5, 1)


def test_a_proxy_is_not_used_on_this_machine_and_an_authority_is(start: Callable[..., Site]) -> None:
    site = start()
    done = site.push(
        "clipper",
        "change-me",
        without="REQUESTS_CA_BUNDLE",
        CURL_CA_BUNDLE=str(site.authority),
        HTTPS_PROXY="http://proxy.invalid:1",
        https_proxy="http://proxy.invalid:1",
        NO_PROXY="",
        no_proxy="",
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_a_wrong_password_is_told_and_does_not_print(start: Callable[..., Site]) -> None:
    site = start()
    done = site.push("clipper", "wrong-horse", flush=1.0)
    assert (done.returncode, done.stdout) == (0, "False\n")
    assert "status 401 (missing or wrong user name or password; POST /api/stats)" in done.stderr
    assert "wrong-horse" not in done.stderr
    assert site.store.rows() == []


def test_where_there_is_a_token_a_password_will_not_do(start: Callable[..., Site]) -> None:
    site = start(push_token="correct-horse")
    done = site.push("clipper", "change-me", flush=1.0)
    assert (
        "status 401 (missing or wrong push token: send the header Authorization: Bearer <token>; POST /api/stats)"
        in done.stderr
    )
    assert "change-me" not in done.stderr


@pytest.mark.parametrize("bundle", ["", "/no/such/file"])
def test_an_unknown_authority_is_told_without_the_password(start: Callable[..., Site], bundle: str) -> None:
    site = start()
    done = site.push("clipper", "change-me", flush=1.0, REQUESTS_CA_BUNDLE=bundle)
    assert (done.returncode, done.stdout) == (0, "False\n")
    assert "the exporter cannot be reached: " in done.stderr
    assert (bundle or "CERTIFICATE_VERIFY_FAILED") in done.stderr
    assert "change-me" not in done.stderr
    assert site.store.rows() == []


def test_a_clipper_may_have_a_certificate_of_its_own(start: Callable[..., Site]) -> None:
    site = start(client_auth_type="RequireAndVerifyClientCert", client_ca_file="ca.pem")
    url = f"https://clipper:change-me@127.0.0.1:{site.server.port}"
    with local_session() as session:
        session.verify = str(site.authority)
        session.cert = (str(site.authority.with_name("clipper.pem")), str(site.authority.with_name("clipper-key.pem")))
        with RemoteStats(url, transport=HttpTransport(url, session=session)) as remote:
            remote.update_viewers("xQc", 5)
            assert remote.flush(15)
    assert site.store.viewer_counts == {"xQc": 5}
