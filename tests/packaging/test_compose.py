"""The compose file: accepted by docker-compose, true of what is in the checkout, and in step with prometheus.yml."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from dashboards.frame import DATASOURCE_UID, GRAFANA, OVERVIEW
from tests.conftest import SharedPrometheus
from tests.integration.alertmanager import running_alertmanager
from tooling import native, servers
from tooling.checkout import ROOT, TOOLS
from tooling.processes import Process, Server, free_port

EXPORTER_DATA = "/var/lib/clipper-exporter"
PUSH_TOKEN = "/run/secrets/push_token"
TOKEN = "correct-horse"
PROVISIONING = ROOT / "dashboards/provisioning"
HOST = ["-f", "docker-compose.yml", "-f", "docker-compose.host.yml"]
MOUNTS = {
    "/etc/clipper/dashboards": "dashboards/generated",
    "/etc/grafana/provisioning/dashboards": "dashboards/provisioning/dashboards",
    "/etc/grafana/provisioning/datasources": "dashboards/provisioning/datasources",
    "/etc/prometheus/alerts/rules.yml": "alerts/rules.yml",
    "/etc/prometheus/prometheus.yml": "prometheus.yml",
    "/etc/alertmanager/alertmanager.yml": "alerts/alertmanager.yml",
    "/etc/alertmanager/messages.tmpl": "alerts/messages.tmpl",
}


def config(*arguments: str, **settings: str) -> dict[str, Any]:
    """What docker-compose makes of the file with these settings."""
    program = servers.find("docker-compose")
    if program is None:
        message = "docker-compose is not here; scripts/test gets it"
        if os.environ.get("CI"):
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **servers.environment(program), **settings}
    python = [sys.executable, "-W", "ignore"] if program.is_relative_to(TOOLS) else []  # an unpacked one is a script
    command = [*python, str(program), *arguments, "config"]
    finished = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    document: dict[str, Any] = yaml.safe_load(finished.stdout)
    return document


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = config()["services"]
    return found


def mounts(service: dict[str, Any]) -> dict[str, tuple[str, str]]:
    parts = [volume.split(":") for volume in service.get("volumes", [])]
    return {target: (source, mode) for source, target, mode in parts}


def test_images_are_pinned_by_version(services: dict[str, Any]) -> None:
    images = {name: service["image"] for name, service in services.items()}
    assert images == {
        "exporter": "clipper-exporter",  # built here
        "prometheus": "prom/prometheus:v3.13.2",
        "alertmanager": "prom/alertmanager:v0.33.1",
        "grafana": f"grafana/grafana:{GRAFANA}",
    }


def test_mounted_paths_exist_and_are_read_only(services: dict[str, Any]) -> None:
    found = {
        target: (Path(source).relative_to(ROOT).as_posix(), mode)
        for service in services.values()
        for target, (source, mode) in mounts(service).items()
        if source.startswith("/")
    }
    assert found == {target: (source, "ro") for target, source in MOUNTS.items()}
    assert all((ROOT / source).exists() for source in MOUNTS.values())


def test_data_is_kept_in_volumes(services: dict[str, Any]) -> None:
    kept = {
        target: source
        for service in services.values()
        for target, (source, mode) in mounts(service).items()
        if mode == "rw"
    }
    assert kept == {
        EXPORTER_DATA: "exporter",
        "/prometheus": "prometheus",
        "/alertmanager": "alertmanager",
        "/var/lib/grafana": "grafana",
    }


def test_ports_are_published_on_loopback_unless_asked(services: dict[str, Any]) -> None:
    def published(found: dict[str, Any]) -> dict[str, list[str]]:
        return {name: service["ports"] for name, service in found.items()}

    ports = {"exporter": 9309, "prometheus": 9090, "alertmanager": 9093, "grafana": 3000}
    assert published(services) == {name: [f"127.0.0.1:{port}:{port}/tcp"] for name, port in ports.items()}
    wide = config(LISTEN_ADDRESS="0.0.0.0", GRAFANA_PORT="3001")["services"]
    assert published(wide)["grafana"] == ["0.0.0.0:3001:3000/tcp"]


def test_targets_are_services_and_their_ports(services: dict[str, Any]) -> None:
    document = yaml.safe_load((ROOT / "prometheus.yml").read_text(encoding="utf-8"))
    jobs = [*document["scrape_configs"], *document.get("alerting", {}).get("alertmanagers", [])]
    targets = {target for job in jobs for group in job["static_configs"] for target in group["targets"]}
    inside = {f"{name}:{service['ports'][0].split(':')[2].removesuffix('/tcp')}" for name, service in services.items()}
    assert native.EXPORTER in targets
    # Prometheus knows itself as localhost.
    assert targets - {native.PROMETHEUS} <= inside
    for rules in document.get("rule_files", []):
        assert f"/etc/prometheus/{rules}" in MOUNTS
    assert document["scrape_configs"][0]["job_name"].startswith("clipper"), "the alerts find exporters by it"


def test_grafana_is_provisioned_with_what_is_mounted(services: dict[str, Any]) -> None:
    [source] = yaml.safe_load((PROVISIONING / "datasources/prometheus.yml").read_text())["datasources"]
    prometheus = yaml.safe_load((ROOT / "prometheus.yml").read_text(encoding="utf-8"))
    assert source["uid"] == DATASOURCE_UID
    assert source["url"] == "http://prometheus:9090"
    assert source["jsonData"]["timeInterval"] == prometheus["global"]["scrape_interval"]
    assert source["editable"] is False
    [provider] = yaml.safe_load((PROVISIONING / "dashboards/clipper.yml").read_text())["providers"]
    assert (provider["folder"], provider["allowUiUpdates"], provider["disableDeletion"]) == ("Clipper", False, True)
    assert provider["options"]["path"] in mounts(services["grafana"])
    home = Path(services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert home == Path(provider["options"]["path"], f"{OVERVIEW}.json")
    assert (ROOT / MOUNTS[str(home.parent)] / home.name).is_file()


def test_everything_waits_for_what_it_needs(services: dict[str, Any]) -> None:
    assert services["grafana"]["depends_on"] == {"prometheus": {"condition": "service_healthy"}}
    for name, service in services.items():
        assert ("healthcheck" in service) is (name != "exporter"), "the exporter's is in its image"
        assert service["restart"] == "unless-stopped"
        assert service["cap_drop"] == ["ALL"]


def test_the_demo_is_one_setting_from_serve(services: dict[str, Any]) -> None:
    assert services["exporter"]["command"] == ["demo"]
    assert config(CLIPPER_COMMAND="serve")["services"]["exporter"]["command"] == ["serve"]
    for command in ("demo", "serve"):
        helped = [sys.executable, "-m", "exporter", command, "--help"]
        assert subprocess.run(helped, cwd=ROOT, capture_output=True, check=False).returncode == 0


def exporter_of_the_stack(folder: Path, token: str, **settings: str) -> Server:
    """The exporter's container as a process of this machine, with paths in ``folder`` and a port that is free."""
    service = config(**settings)["services"]["exporter"]
    assert EXPORTER_DATA in mounts(service)
    assert [secret["source"] for secret in service["secrets"]] == [Path(PUSH_TOKEN).name]
    final_stage = (ROOT / "Dockerfile").read_text(encoding="utf-8").rpartition("\nFROM ")[2]
    pairs = [pair for line in re.findall(r"^ENV (.*)$", final_stage, re.MULTILINE) for pair in shlex.split(line)]
    environment: dict[str, str] = {**dict(pair.split("=", 1) for pair in pairs), **service["environment"]}
    (folder / "secret").write_text(token, encoding="ascii")
    (folder / "data").mkdir(exist_ok=True)
    for place, here in ((PUSH_TOKEN, folder / "secret"), (EXPORTER_DATA, folder / "data")):
        environment = {name: value.replace(place, str(here)) for name, value in environment.items()}
    port = free_port()
    assert environment["CLIPPER_EXPORTER_WEB_LISTEN_ADDRESS"] == ":9309"
    environment["CLIPPER_EXPORTER_WEB_LISTEN_ADDRESS"] = f":{port}"
    shell, option, script, name = service["entrypoint"]
    assert "exec clipper-exporter " in script
    script = script.replace("$$", "$").replace("exec clipper-exporter ", f"exec {sys.executable} -m exporter ")
    command = [shell, option, script, name, *service["command"]]
    return Server("the exporter", command, f"http://127.0.0.1:{port}/-/ready", environment)


def push(server: Server, **headers: str) -> requests.Response:
    batch = {"triggers": [{"streamer": "xQc", "type": "keyword"}]}
    return requests.post(server.ready_url.replace("/-/ready", "/api/stats"), json=batch, headers=headers, timeout=10)


def scraped(server: Server) -> str:
    return requests.get(server.ready_url.replace("/-/ready", "/metrics"), timeout=10).text


def test_clippers_push_with_the_token_and_counters_stay(tmp_path: Path) -> None:
    server = exporter_of_the_stack(tmp_path, f"{TOKEN}\n", CLIPPER_COMMAND="serve", PUSH_TOKEN_FILE="./push-token")
    for count in (1, 2):  # the second time in a new container
        with Process(server, tmp_path / "log") as process:
            process.wait_until_ready()
            assert push(server).status_code == 401
            assert push(server, Authorization=f"Bearer {TOKEN}x").status_code == 401
            assert push(server, Authorization=f"Bearer {TOKEN}").status_code == 200
            assert f'clipper_triggers_total{{streamer="xQc",type="keyword"}} {count}.0\n' in scraped(server)


def test_without_a_token_it_says_how_to_give_one(tmp_path: Path) -> None:
    server = exporter_of_the_stack(tmp_path, "", CLIPPER_COMMAND="serve")
    with Process(server, tmp_path / "log") as process:
        process.wait_until_ready()
        assert push(server, Authorization="Bearer").status_code == 403
        assert "clipper_exporter_streamers 0.0\n" in scraped(server)
        assert "nobody can push: set PUSH_TOKEN_FILE to a file that holds a token" in process.last_lines()
        # A health check has the container's environment, whose token file is the empty one.
        check = [sys.executable, "-m", "exporter", "health"]
        assert subprocess.run(check, env={**os.environ, **server.environment}, check=False).returncode == 0


def test_the_demo_needs_no_token(tmp_path: Path) -> None:
    server = exporter_of_the_stack(tmp_path, "")
    with Process(server, tmp_path / "log") as process:
        process.wait_until_ready()
        assert "PUSH_TOKEN_FILE to" not in process.last_lines()
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["demo"], "apart from what clippers push"


def test_the_token_file_is_empty_unless_one_is_named() -> None:
    assert config()["secrets"]["push_token"]["file"] == str(ROOT / "docker/no-push-token")
    assert (ROOT / "docker/no-push-token").read_bytes() == b""
    named = config(PUSH_TOKEN_FILE="./push-token")["secrets"]["push_token"]["file"]
    assert named == str(ROOT / "push-token")


def test_the_exporters_volume_belongs_to_its_user() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    made = lines.index(f"RUN install -d -o 10001 -g 10001 {EXPORTER_DATA}")
    assert made < lines.index("USER 10001:10001"), "root alone may give a folder away"


def test_a_clipper_on_the_host_takes_the_exporters_place() -> None:
    services = config(*HOST)["services"]
    assert services["exporter"]["deploy"]["replicas"] == 0
    assert services["prometheus"]["extra_hosts"] in (["exporter:host-gateway"], {"exporter": "host-gateway"})
    assert "exporter" not in services["prometheus"]["depends_on"]


@pytest.mark.parametrize(
    ("password", "secret", "expected"),
    [
        ("", "", {"GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION": "true", "GF_AUTH_DISABLE_LOGIN_FORM": "true"}),
        ("hunter2", "", {"GF_SECURITY_ADMIN_PASSWORD": "hunter2"}),
        ("", "hunter3", {"GF_SECURITY_ADMIN_PASSWORD__FILE": "SECRET"}),
        ("hunter2", "hunter3", {"GF_SECURITY_ADMIN_PASSWORD__FILE": "SECRET"}),
    ],
)
def test_grafana_has_no_password_unless_one_is_set(
    tmp_path: Path, password: str, secret: str, expected: dict[str, str]
) -> None:
    """The container's own start, with files of ours in the places of the secret and of Grafana's start script."""
    grafana = config(GRAFANA_ADMIN_PASSWORD=password)["services"]["grafana"]
    assert grafana["environment"]["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    file, run = tmp_path / "secret", tmp_path / "run.sh"
    file.write_text(secret)
    run.write_text("#!/bin/sh\nenv\n")
    run.chmod(0o755)
    [script] = grafana["command"]
    script = script.replace("$$", "$").replace("/run/secrets/grafana_admin_password", str(file))
    script = script.replace("exec /run.sh", f"exec {run}")
    environment = {"GF_SECURITY_ADMIN_PASSWORD": grafana["environment"]["GF_SECURITY_ADMIN_PASSWORD"] or ""}
    command = [*grafana["entrypoint"], script]
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    variables = dict(line.split("=", 1) for line in printed.splitlines() if line.startswith("GF_"))
    assert {name: value.replace(str(file), "SECRET") for name, value in variables.items() if value} == expected
    assert config()["secrets"]["grafana_admin_password"]["file"] == str(PROVISIONING / "no-password")
    assert (PROVISIONING / "no-password").read_bytes() == b""


@pytest.mark.integration
def test_the_health_check_of_prometheus_works(
    services: dict[str, Any], shared_prometheus: SharedPrometheus, promtool: Path
) -> None:
    prometheus = shared_prometheus.prometheus
    test = services["prometheus"]["healthcheck"]["test"]
    assert healthy(test, "/bin/promtool", promtool, prometheus.url)
    assert not healthy(test, "/bin/promtool", promtool, "http://127.0.0.1:1")


@pytest.mark.integration
def test_the_health_check_of_alertmanager_works(
    services: dict[str, Any], alertmanager_program: Path, amtool: Path, tmp_path: Path
) -> None:
    test = services["alertmanager"]["healthcheck"]["test"]
    silent = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
    with running_alertmanager(alertmanager_program, tmp_path, silent) as url:
        assert healthy(test, "/bin/amtool", amtool, url)
    assert not healthy(test, "/bin/amtool", amtool, url)


def healthy(test: list[str], expected: str, program: Path, url: str) -> bool:
    """Run a health check with the ``program`` that is here, on the server at ``url`` instead of the container's."""
    kind, there, *arguments = test
    assert (kind, there) == ("CMD", expected)
    mine = [re.sub(r"http://localhost:\d+", url, argument) for argument in arguments]
    return subprocess.run([program, *mine], capture_output=True, check=False).returncode == 0


def test_settings_in_the_comment_are_the_settings() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    comment, _, rest = text.partition("x-defaults")
    used = set(re.findall(r"\$\{(\w+):-", rest))
    assert used == {name for name in used if name in comment}
