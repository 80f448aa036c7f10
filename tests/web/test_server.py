from __future__ import annotations

import errno
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client import REGISTRY, CollectorRegistry

import exporter
from exporter import SharedStats
from exporter.errors import ExporterError, ListenError, SettingsError
from exporter.web.server import Server, serve


def scrape(server: Server, path: str = "/metrics") -> str:
    return requests.get(server.url + path, timeout=10).text


def test_two_lines_give_a_clipper_metrics() -> None:
    handle = exporter.serve(port=0)
    try:
        exporter.shared_stats.update_viewers("two lines", 3)
        text = scrape(handle)
    finally:
        handle.stop()
        exporter.shared_stats.clear_streamer_stats("two lines")
    assert 'clipper_viewers{streamer="two lines"} 3.0\n' in text
    assert "python_info{" in text
    assert "process_cpu_seconds_total" in text


def test_the_hosts_registry_is_left_as_it_was() -> None:
    before = dict(REGISTRY._collector_to_names)
    with serve(0):
        assert dict(REGISTRY._collector_to_names) == before
    assert dict(REGISTRY._collector_to_names) == before


def test_stopping_frees_the_port_and_ends_the_thread() -> None:
    before = set(threading.enumerate())
    handle = serve(0, stats=SharedStats.create(), registry=CollectorRegistry())
    started = set(threading.enumerate()) - before
    running = [handle.running]
    for _ in range(2):
        handle.stop()
        running.append(handle.running)
    assert running == [True, False, False]
    assert "clipper-exporter" in {thread.name for thread in started}
    assert not any(thread.is_alive() for thread in started)
    with serve(handle.port, stats=SharedStats.create()) as again:
        assert again.port == handle.port


def test_a_stop_does_not_wait_for_an_idle_connection() -> None:
    handle = serve(0, stats=SharedStats.create(), registry=CollectorRegistry())
    with requests.Session() as session:
        session.get(handle.url + "/-/healthy", timeout=10)
        handle.stop()
    assert not handle.running


def test_a_port_in_use_is_a_clear_error() -> None:
    with serve(0, stats=SharedStats.create()) as first, pytest.raises(ListenError) as refusal:
        serve(first.port, stats=SharedStats.create())
    assert str(refusal.value) == (
        f"cannot listen on 127.0.0.1:{first.port}: another program listens there;"
        " choose another port (--web.listen-address, or port of serve()), or 0 for a free one"
    )
    assert refusal.value.errno == errno.EADDRINUSE
    assert isinstance(refusal.value, OSError)
    assert isinstance(refusal.value, ExporterError)


def test_an_address_of_another_machine_is_a_clear_error() -> None:
    with pytest.raises(ListenError, match=r"cannot listen on 192\.0\.2\.1:0: not an address of this machine"):
        serve(0, "192.0.2.1", stats=SharedStats.create())


def test_a_name_that_is_no_address_is_a_clear_error() -> None:
    with pytest.raises(
        ListenError, match=r"cannot listen on no\.such\.host\.invalid:0: not an address of this machine"
    ):
        serve(0, "no.such.host.invalid", stats=SharedStats.create())


@pytest.mark.parametrize(
    ("address", "host"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("", "127.0.0.1"), ("localhost", "localhost")],
)
def test_the_url_is_one_that_answers(address: str, host: str) -> None:
    with serve(0, address, stats=SharedStats.create(), registry=CollectorRegistry()) as handle:
        assert handle.url == f"http://{host}:{handle.port}"
        assert "clipper_exporter_streamers 0.0\n" in scrape(handle)


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback address")
    with serve(0, "::1", stats=SharedStats.create(), registry=CollectorRegistry()) as handle:
        assert handle.url == f"http://[::1]:{handle.port}"
        assert "clipper_exporter_streamers 0.0\n" in scrape(handle)


@pytest.fixture
def _no_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with IPv6 turned off, whose getaddrinfo names IPv6 addresses all the same."""

    class IPv4Socket(socket.socket):
        def __init__(self, family: int = -1, *arguments: Any, **options: Any) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(family, *arguments, **options)

    found = [
        (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", where)
        for family, where in ((socket.AF_INET6, ("::", 0, 0, 0)), (socket.AF_INET, ("0.0.0.0", 0)))
    ]
    lookup = socket.getaddrinfo
    monkeypatch.setattr(socket, "socket", IPv4Socket)
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest, **flags: lookup(host, *rest, **flags) if host else found.copy()
    )


@pytest.mark.usefixtures("_no_ipv6")
def test_without_ipv6_every_address_is_every_ipv4_address() -> None:
    with serve(0, "", stats=SharedStats.create(), registry=CollectorRegistry()) as handle:
        assert "clipper_exporter_streamers 0.0\n" in scrape(handle)


@pytest.mark.usefixtures("_no_ipv6")
def test_without_ipv6_an_ipv6_address_is_a_clear_error() -> None:
    with pytest.raises(ListenError, match=r"cannot listen on \[::1\]:0: this machine has no addresses of this family"):
        serve(0, "::1", stats=SharedStats.create())


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_every_address_is_ipv4_and_ipv6() -> None:
    with serve(0, "", stats=SharedStats.create(), registry=CollectorRegistry()) as handle:
        for host in ("127.0.0.1", "[::1]"):
            text = requests.get(f"http://{host}:{handle.port}/metrics", timeout=10).text
            assert "clipper_exporter_streamers 0.0\n" in text


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_a_port_that_is_taken_on_ipv6_is_not_taken_on_ipv4_alone() -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6) as other, pytest.raises(ListenError) as refusal:
        serve(other.getsockname()[1], "", stats=SharedStats.create())
    assert "another program listens there" in str(refusal.value)


def test_the_telemetry_path_is_a_choice() -> None:
    with serve(0, stats=SharedStats.create(), telemetry_path="/clipper/metrics") as handle:
        assert "clipper_exporter_streamers 0.0\n" in scrape(handle, "/clipper/metrics")
        assert requests.get(handle.url + "/metrics", timeout=10).status_code == 404
        assert 'href="./clipper/metrics"' in scrape(handle, "/")


def test_what_the_command_line_refuses_serve_refuses() -> None:
    before = set(threading.enumerate())
    with pytest.raises(SettingsError) as refusal:
        exporter.serve(70000, telemetry_path="/api/stats", storage="", push_token="")
    assert refusal.value.mistakes == (
        "port: 70000 is above 65535",
        "telemetry_path: '/api/stats' is the path of another route; choose a path such as /metrics",
        "push_token: the token is not one word of printable ASCII characters",
        "storage: '' does not name a folder",
    )
    assert set(threading.enumerate()) == before


def test_serve_reads_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CLIPPER_EXPORTER_WEB_LISTEN_ADDRESS", "localhost:0")
    monkeypatch.setenv("CLIPPER_EXPORTER_LIMIT_CONNECTIONS", "999")
    monkeypatch.setenv("CLIPPER_EXPORTER_WEB_TELEMETRY_PATH", "/scrape")
    monkeypatch.setenv("CLIPPER_EXPORTER_STORAGE_PATH", str(tmp_path / "kept"))
    monkeypatch.setenv("CLIPPER_EXPORTER_WEB_TELEMETRYPATH", "/misspelt")
    with exporter.serve(stats=SharedStats.create(), registry=CollectorRegistry()) as handle:
        assert handle.url == f"http://localhost:{handle.port}"
        assert "clipper_exporter_http_connections_limit 999.0\n" in scrape(handle, "/scrape")
    assert (tmp_path / "kept").is_dir()
    told = "CLIPPER_EXPORTER_WEB_TELEMETRYPATH: did you mean CLIPPER_EXPORTER_WEB_TELEMETRY_PATH?"
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == [f"unknown environment variable {told}"]


def test_a_mistake_in_a_variable_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIPPER_EXPORTER_LIMIT_CONNECTIONS", "many")
    with pytest.raises(SettingsError, match=r"^CLIPPER_EXPORTER_LIMIT_CONNECTIONS: 'many' is not a whole number"):
        exporter.serve(0)


def test_several_servers_of_one_process_do_not_meet() -> None:
    one, two = SharedStats.create(), SharedStats.create()
    one.update_viewers("one", 1)
    two.update_viewers("two", 2)
    with serve(0, stats=one) as first, serve(0, stats=two) as second:
        assert 'streamer="one"' in scrape(first)
        assert 'streamer="one"' not in scrape(second)
        assert 'streamer="two"' in scrape(second)
