"""A web configuration follows its files."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import trustme

from exporter.errors import SettingsError
from exporter.metrics import WEB_CONFIG_READ, WEB_CONFIG_SUCCEEDED, Family
from exporter.own_metrics import OwnMetrics
from exporter.security.reload import WebFile
from tests.certificates import write_pair
from tests.clock import FakeClock
from tests.own import own_value

HASH = "$2b$04$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"
TLS = "tls_server_config: {cert_file: server.pem, key_file: server-key.pem}\n"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def file(tmp_path: Path, authority: trustme.CA) -> Path:
    write_pair(tmp_path, authority)
    path = tmp_path / "web.yml"
    path.write_text(TLS)
    return path


def shown(web: WebFile, family: Family) -> float:
    own = OwnMetrics()
    web.show(own)
    return own_value(own, family)


def test_a_file_that_cannot_be_used_from_the_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refusal:
        WebFile(tmp_path / "web.yml")
    assert refusal.value.mistakes == (f"{tmp_path / 'web.yml'}: cannot be read (No such file or directory)",)
    (tmp_path / "web.yml").write_text("a: 1\nb: 2\n")
    with pytest.raises(SettingsError) as refusal:
        WebFile(tmp_path / "web.yml")
    assert [line.removeprefix(f"{tmp_path / 'web.yml'}: ")[:8] for line in refusal.value.mistakes] == ["unknown "] * 2


def test_nothing_is_read_again_while_nothing_changes(file: Path) -> None:
    clock = FakeClock()
    web = WebFile(file, clock)
    before, read_at = web.config, clock.now
    clock.pass_by(60)
    file.touch()
    web.reload()
    assert web.config is before
    assert shown(web, WEB_CONFIG_READ) == read_at


def test_a_new_certificate_is_picked_up(file: Path, authority: trustme.CA, caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    web = WebFile(file, clock)
    before = web.tls
    write_pair(file.parent, authority)
    clock.pass_by(60)
    caplog.set_level(logging.INFO, "exporter.http")
    web.reload()
    assert web.tls is not before
    assert shown(web, WEB_CONFIG_READ) == clock.now
    assert caplog.messages == [f"reloaded the web configuration: {file}"]


def test_users_come_and_go(file: Path) -> None:
    web = WebFile(file)
    file.write_text(TLS + f"basic_auth_users: {{prometheus: {HASH}}}\n")
    web.reload()
    assert web.users == {"prometheus": HASH.encode()}
    file.write_text(TLS + f"basic_auth_users: {{grafana: {HASH}}}\n")
    web.reload()
    assert web.users == {"grafana": HASH.encode()}


@pytest.mark.parametrize("text", ["", "http_server_config: {}\n", "basic_auth_users: {}\n", "basic_auth_users:\n"])
def test_passwords_do_not_go_while_it_runs(tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str) -> None:
    file = tmp_path / "web.yml"
    file.write_text(f"basic_auth_users: {{prometheus: {HASH}}}\n")
    web = WebFile(file)
    file.write_text(text)
    web.reload()
    assert web.users == {"prometheus": HASH.encode()}
    assert not shown(web, WEB_CONFIG_SUCCEEDED)
    assert "turning passwords off needs a restart" in caplog.text


def test_client_certificates_are_asked_for_while_it_runs(
    file: Path, authority: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    authority.cert_pem.write_to_path(file.parent / "ca.pem")
    mutual = "{client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem, "
    file.write_text(TLS.replace("{", mutual))
    web = WebFile(file)
    before = web.tls
    file.write_text(TLS)
    web.reload()
    assert web.tls is before
    assert "no longer requiring client certificates needs a restart" in caplog.text


def test_what_is_broken_is_told_once_and_what_was_before_stays(
    file: Path, authority: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    web = WebFile(file)
    before = web.config
    key = file.parent / "server-key.pem"
    whole = key.read_bytes()
    write_pair(file.parent, authority, stem="other")
    key.write_bytes((file.parent / "other-key.pem").read_bytes())
    for _ in range(2):
        web.reload()
    assert web.config is before
    assert shown(web, WEB_CONFIG_SUCCEEDED) == 0
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    (message,) = caplog.messages
    assert message == (
        "the new web configuration is invalid, so the old one stays in force:"
        f" {file}: tls_server_config.key_file: {key} is not the key of the certificate in {file.parent / 'server.pem'}"
    )
    key.write_bytes(whole)
    web.reload()
    assert shown(web, WEB_CONFIG_SUCCEEDED) == 1


@pytest.mark.parametrize("broken", ["missing", "not YAML", "another key"])
def test_a_file_that_was_broken_is_read_again_when_it_is_whole(file: Path, broken: str) -> None:
    web = WebFile(file)
    if broken == "missing":
        file.unlink()
    else:
        file.write_text({"not YAML": "a: b: c", "another key": "more: 1"}[broken])
    web.reload()
    assert shown(web, WEB_CONFIG_SUCCEEDED) == 0
    file.write_text(TLS + "http_server_config: {headers: {X-Frame-Options: deny}}\n")
    web.reload()
    assert shown(web, WEB_CONFIG_SUCCEEDED) == 1
    assert web.headers == {"X-Frame-Options": "deny"}


def test_tls_does_not_go_or_come_while_it_runs(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    web = WebFile(file)
    file.write_text(f"basic_auth_users: {{prometheus: {HASH}}}\n")
    web.reload()
    assert web.tls is not None
    assert not web.users
    assert caplog.messages[0].endswith("turning TLS on or off needs a restart")


def test_a_hash_is_in_no_log_line(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    web = WebFile(file)
    for text in (
        f"basic_auth_users:\n  a: {HASH}\n b: x: {HASH}\n",
        f"{HASH}: 1",
        f"a: {HASH}",
        f"'{HASH}",
        f"*{HASH}",
    ):
        file.write_text(text)
        web.reload()
    assert len(caplog.messages) == 5
    assert HASH[8:] not in caplog.text
