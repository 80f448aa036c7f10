"""``clipper-exporter health``, against exporters as they are set up."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import bcrypt
import pytest
import trustme
from prometheus_client import CollectorRegistry

from exporter import SharedStats
from exporter.metrics import HTTP_REFUSED
from exporter.web.server import Server, serve
from tests.certificates import write_pair
from tooling.processes import free_port, local_session

TLS = "tls_server_config: {cert_file: server.pem, key_file: server-key.pem}\n"
MUTUAL = TLS.replace("}", ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem}")
USERS = f"basic_auth_users: {{prometheus: {bcrypt.hashpw(b'secret', bcrypt.gensalt(4)).decode()}}}\n"
CONFIGS = {"nothing": None, "users": USERS, "TLS": TLS, "TLS and users": TLS + USERS, "client certificates": MUTUAL}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    write_pair(tmp_path, trustme.CA())
    with ExitStack() as running:

        def started(text: str | None, address: str = "127.0.0.1") -> Server:
            file = tmp_path / "web.yml"
            file.write_text(text or "")
            return running.enter_context(
                serve(
                    0,
                    address,
                    stats=SharedStats.create(),
                    registry=CollectorRegistry(),
                    web_config=None if text is None else file,
                )
            )

        yield started


def ask(*flags: str, **environ: str) -> tuple[int, str, str]:
    # What is for the internet must not stand between two programs of one machine.
    environ |= {"http_proxy": "http://proxy.invalid:1", "https_proxy": "http://proxy.invalid:1"}
    done = subprocess.run(
        [sys.executable, "-m", "exporter", "health", *flags],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environ,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def ask_at(port: int, web_config: Path | None, host: str = "127.0.0.1") -> tuple[int, str, str]:
    """Ask by the environment, as in a container."""
    environ = {} if web_config is None else {"CLIPPER_EXPORTER_WEB_CONFIG_FILE": str(web_config)}
    return ask(**environ, CLIPPER_EXPORTER_WEB_LISTEN_ADDRESS=f"{host}:{port}")


@pytest.mark.parametrize("text", CONFIGS.values(), ids=CONFIGS)
def test_it_answers_however_it_is_set_up(
    start: Callable[..., Server], tmp_path: Path, text: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    server = start(text)
    file = None if text is None else tmp_path / "web.yml"
    assert ask_at(server.port, file) == (0, f"{server.url} answers\n", "")
    assert caplog.text == "", "nobody was refused"


def test_being_asked_refuses_nobody(start: Callable[..., Server], tmp_path: Path) -> None:
    server = start(TLS)
    for _ in range(2):
        assert ask_at(server.port, tmp_path / "web.yml")[0] == 0
    with socket.create_connection(("127.0.0.1", server.port)):
        pass  # as many who ask do
    with local_session() as session:
        text = session.get(server.url + "/metrics", verify=str(tmp_path / "ca.pem"), timeout=10).text
    assert f'{HTTP_REFUSED.name}{{reason="handshake"}} 0.0\n' in text


@pytest.mark.parametrize("host", ["", "0.0.0.0", "localhost"])
def test_every_address_of_the_machine_is_reached_from_it(start: Callable[..., Server], host: str) -> None:
    server = start(None, host)
    near = "localhost" if host == "localhost" else "127.0.0.1"
    assert ask(f"--web.listen-address={host}:{server.port}") == (0, f"http://{near}:{server.port} answers\n", "")


def test_a_web_configuration_that_has_become_unusable_is_not_its_matter(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    server = start(TLS)
    (tmp_path / "web.yml").write_text(TLS + "basic_auth_users: {prometheus: no-hash}\n")
    (tmp_path / "server.pem").unlink()
    assert ask_at(server.port, tmp_path / "web.yml") == (0, f"{server.url} answers\n", "")


@pytest.mark.parametrize("text", [None, TLS], ids=["http", "https"])
def test_nobody_is_there(tmp_path: Path, text: str | None) -> None:
    (tmp_path / "web.yml").write_text(text or "")
    port = free_port()
    status, out, problem = ask_at(port, tmp_path / "web.yml")
    assert (status, out) == (1, "")
    url = f"{'https' if text else 'http'}://127.0.0.1:{port}"
    assert problem.startswith(f"clipper-exporter: {url} does not answer: [Errno ")
    assert problem.count("\n") == 1


@pytest.mark.parametrize(
    ("serving", "asking", "told"),
    [
        (None, TLS, "the response is not TLS"),
        (TLS, None, "the response is not HTTP; if the exporter uses TLS, pass its --web.config.file here too"),
    ],
    ids=["http", "https"],
)
def test_something_else_is_there(
    start: Callable[..., Server], tmp_path: Path, serving: str | None, asking: str | None, told: str
) -> None:
    server = start(serving)
    (tmp_path / "web.yml").write_text(asking or "")
    status, _, problem = ask_at(server.port, tmp_path / "web.yml")
    assert status == 1
    assert problem.endswith(f"does not answer: {told}\n")


@pytest.mark.parametrize("text", [None, TLS], ids=["http", "https"])
def test_who_is_there_and_says_nothing_does_not_answer(tmp_path: Path, text: str | None) -> None:
    (tmp_path / "web.yml").write_text(text or "")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        status, _, problem = ask_at(silent.getsockname()[1], tmp_path / "web.yml")
    assert (status, problem.rpartition(": ")[2]) == (1, "timed out\n")


@pytest.mark.parametrize(
    ("flags", "text", "told"),
    [
        (("--web.listen-address=9309",), "", "--web.listen-address: '9309' is not host:port, such as 127.0.0.1:9309"),
        (
            ("--web.listen-address=:0",),
            "",
            "--web.listen-address: port 0 cannot be checked; give the port that the exporter listens on",
        ),
        ((), "tls_server_config: {", "web.yml: line 1, column "),
        ((), None, "web.yml: cannot be read (No such file or directory)"),
        (("--log.level=info",), "", "unrecognized arguments: --log.level=info"),
    ],
)
def test_what_cannot_be_used_ends_it_with_2(
    tmp_path: Path, flags: tuple[str, ...], text: str | None, told: str
) -> None:
    file = tmp_path / "web.yml"
    if text is not None:
        file.write_text(text)
    status, out, problem = ask(*flags, CLIPPER_EXPORTER_WEB_CONFIG_FILE=str(file))
    assert (status, out) == (2, "")
    assert told in problem
    assert "Traceback" not in problem


def test_settings_that_it_does_not_take_are_not_its_matter(start: Callable[..., Server], tmp_path: Path) -> None:
    server = start(None)
    status, _, problem = ask(
        CLIPPER_EXPORTER_WEB_LISTEN_ADDRESS=f"127.0.0.1:{server.port}",
        CLIPPER_EXPORTER_PUSH_TOKEN_FILE=str(tmp_path / "gone since"),
        CLIPPER_EXPORTER_LIMIT_STREAMERS="many",
    )
    assert (status, problem) == (0, "")


def test_its_help_names_its_flags_and_what_its_exit_status_means() -> None:
    status, out, _ = ask("--help", COLUMNS="200")
    assert status == 0
    assert {part for part in out.replace("=", " ").split() if part.startswith("--")} == {
        "--help",
        "--web.listen-address",
        "--web.config.file",
    }
    assert "exit status: 0 if it answers, 1 if it does not, 2 for" in out
