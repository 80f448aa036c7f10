"""What holds of every dashboard, whatever it shows."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

import pytest
import yaml

from dashboards.__main__ import DASHBOARDS, differences, encoded, generate, main
from dashboards.frame import DATASOURCE_UID, GRID_WIDTH, OVERVIEW, STREAMER_UID, Place, Row, compose
from dashboards.panels import number
from exporter.metrics import FAMILIES
from tests.dashboards.grafana import load, queries
from tooling.checkout import ROOT

RULES = yaml.safe_load((ROOT / "alerts/rules.yml").read_text(encoding="utf-8"))
RECORDED = {rule["record"] for group in RULES["groups"] for rule in group["rules"] if "record" in rule}
# What Prometheus and prometheus_client make of any target.
OF_PROMETHEUS = {"up", "scrape_duration_seconds", "scrape_samples_scraped", "ALERTS", "ALERTS_FOR_STATE"}
OF_PROCESSES = {"process_start_time_seconds", "process_resident_memory_bytes", "process_cpu_seconds_total"}
ALERT_LABELS = {"alertname", "alertstate", "severity"}
UNITS = {"none", "locale", "s", "bytes", "percentunit"}

everywhere = pytest.mark.parametrize("uid", DASHBOARDS)


@pytest.fixture
def dashboard(uid: str) -> dict[str, Any]:
    return load(uid)


def test_the_files_are_what_the_code_makes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 0, capsys.readouterr().err


def test_check_says_which_file_differs(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate(tmp_path) == [f"{tmp_path / name}: missing" for name in encoded()]
    assert differences(tmp_path) == []
    (tmp_path / f"{OVERVIEW}.json").write_text("{}\n")
    (tmp_path / f"{STREAMER_UID}.json").unlink()
    (tmp_path / "old.json").write_text("{}\n")
    assert main(["check", "--folder", str(tmp_path)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"{tmp_path / f'{OVERVIEW}.json'}: differs from what the code makes",
        f"{tmp_path / f'{STREAMER_UID}.json'}: missing",
        f"{tmp_path / 'old.json'}: no dashboard of the code",
        "run: python -m dashboards generate",
    ]
    assert main(["generate", "--folder", str(tmp_path)]) == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(encoded())


@everywhere
def test_it_opens_as_wanted(dashboard: dict[str, Any], uid: str) -> None:
    assert dashboard["uid"] == uid
    assert dashboard["schemaVersion"] == 42
    assert dashboard["refresh"] == "5s"
    assert dashboard["time"] == {"from": "now-30m", "to": "now"}
    assert dashboard["graphTooltip"] == 1
    assert dashboard["editable"] is False
    assert dashboard["tags"] == ["clipper"]
    assert "placement" not in str(dashboard["links"]) + str(dashboard["annotations"])


@everywhere
def test_ids_and_ref_ids_are_unique(dashboard: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert ids == list(range(1, len(ids) + 1))
    for panel in dashboard["panels"]:
        ref_ids = [target["refId"] for target in panel["targets"]]
        assert ref_ids == list("ABCDEFGH")[: len(ref_ids)], panel["title"]
        assert ref_ids, panel["title"]


@everywhere
def test_rows_fill_the_grid_and_nothing_overlaps(dashboard: dict[str, Any]) -> None:
    places = {panel["title"] + str(panel["id"]): panel["gridPos"] for panel in dashboard["panels"]}
    for (one, a), (other, b) in combinations(places.items(), 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        below = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert beside or below, (one, other)
    bottom = 0
    for top in sorted({place["y"] for place in places.values()}):
        row = sorted((place for place in places.values() if place["y"] == top), key=lambda place: place["x"])
        assert top == bottom
        assert len({place["h"] for place in row}) == 1
        assert [place["x"] for place in row] == [sum(each["w"] for each in row[:index]) for index in range(len(row))]
        assert sum(place["w"] for place in row) == GRID_WIDTH
        bottom = top + row[0]["h"]


def test_a_row_that_does_not_fill_the_grid_is_refused() -> None:
    panel = number("title", "description", "vector(1)", unit="none")
    with pytest.raises(ValueError, match=r"widths: expected 24 together, got \[3, 12\]"):
        compose(OVERVIEW, "", [Row(4, [Place(3, panel), Place(12, panel)])], [])


@everywhere
def test_every_panel_says_what_it_is_and_what_to_do(dashboard: dict[str, Any]) -> None:
    for panel in dashboard["panels"]:
        title, defaults = panel["title"], panel["fieldConfig"]["defaults"]
        assert title, panel["id"]
        assert len(panel["description"]) > 10, title
        assert panel["description"].endswith((".", "?")), title
        assert defaults["unit"] in UNITS or defaults["unit"].startswith("suffix:"), title
        assert defaults["noValue"], title
        assert panel["datasource"] == {"type": "prometheus", "uid": "$datasource"}, title
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"]), title
        if panel["type"] in {"timeseries", "state-timeline"}:
            assert panel["options"]["legend"]["showLegend"] is True, title
            assert all(target["legendFormat"] for target in panel["targets"]), title
        if panel["type"] == "table":
            assert panel["options"]["footer"]["enablePagination"] is True, title
    titles = [(panel["title"], panel["type"]) for panel in dashboard["panels"]]
    assert len(set(titles)) == len(titles)


@everywhere
def test_variables_follow_the_conventions(dashboard: dict[str, Any]) -> None:
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    assert variables["datasource"]["current"]["value"] == DATASOURCE_UID
    for name, variable in variables.items():
        if name == "datasource":
            continue
        assert variable["datasource"] == {"type": "prometheus", "uid": "$datasource"}, name
        assert variable["refresh"] == 2, name
        assert re.fullmatch(rf"label_values\([a-z_]+(\{{.*\}})?, {name}\)", variable["query"]["query"]), name
        one = dashboard["uid"] == STREAMER_UID and name == "streamer"
        assert variable["multi"] is not one, name
        assert variable["includeAll"] is not one, name
        # All jobs are those of exporters: any would make `up` speak of every target.
        assert variable.get("allValue") == (None if one or name == "job" else ".+"), name


@everywhere
def test_every_query_chooses_exporters(dashboard: dict[str, Any]) -> None:
    """Recorded series and alerts alone have no job and instance: they are one per streamer, whoever reports it."""
    for query in queries(dashboard):
        for name, selector in re.findall(r"\b([a-zA-Z_:]+)\{([^}]*)\}", query.target["expr"]):
            if ":" in name or name.startswith("ALERTS"):
                assert "job" not in selector, query.where
            else:
                assert selector.startswith('job=~"$job", instance=~"$instance"'), query.where


@everywhere
def test_names_and_labels_exist(dashboard: dict[str, Any]) -> None:
    families = {family.name: family for family in FAMILIES}
    labels = {label for family in FAMILIES for label in family.labels} | {"job", "instance", "severity"}
    texts = [query.target["expr"] for query in queries(dashboard)]
    texts += [
        variable["query"]["query"] for variable in dashboard["templating"]["list"] if variable["name"] != "datasource"
    ]
    for text in texts:
        bare = re.sub(r'"[^"]*"', '""', text)
        for name in re.findall(r"\b(?:clipper|streamer:|process|scrape|up|ALERTS)[a-zA-Z_:]*", bare):
            known = name in families or name in RECORDED or name in OF_PROMETHEUS | OF_PROCESSES | {"streamer"}
            assert known, (name, text)
        for name, selector in re.findall(r"\b([a-zA-Z_:]+)\{([^}]*)\}", bare):
            used = set(re.findall(r"(\w+)(?:=~|!=|=)", selector))
            own = set(families[name].labels) if name in families else {"streamer"}
            assert used <= own | {"job", "instance"} | (ALERT_LABELS if name.startswith("ALERTS") else set()), text
        for group in re.findall(r"\b(?:by|on|ignoring|without) \(([^)]*)\)", bare):
            assert set(filter(None, group.split(", "))) <= labels | ALERT_LABELS, text


@everywhere
def test_links_lead_to_dashboards_that_exist_and_keep_time_and_variables(dashboard: dict[str, Any]) -> None:
    linked = set()
    for link in dashboard["links"]:
        uid, _, parameters = link["url"].removeprefix("/d/").partition("?")
        linked.add(uid)
        assert link["keepTime"] is True
        shared = {"datasource", "job", "instance", "type"}
        assert link["includeVars"] is True or set(re.findall(r"\{(\w+):queryparam\}", parameters)) == shared
    assert linked == set(DASHBOARDS) - {dashboard["uid"]}
    known = {variable["name"] for variable in dashboard["templating"]["list"]}
    for url in re.findall(r"'url': '([^']*)'", str(dashboard)):
        assert url.split("?")[0].removeprefix("/d/") in DASHBOARDS, url
        assert set(re.findall(r"\$\{(\w+):queryparam\}", url)) <= known, url
        if "var-streamer" in url:
            assert "${__url_time_range}" in url, url
            assert re.search(r"var-streamer=\$\{__[\w.]+:percentencode\}", url), url


@everywhere
def test_annotations_are_as_grafana_reads_them(dashboard: dict[str, Any]) -> None:
    annotations = dashboard["annotations"].get("list", [])
    if dashboard["uid"] not in {OVERVIEW, STREAMER_UID}:
        assert annotations == []
        return
    assert [(each["name"], each["enable"]) for each in annotations] == [
        ("Triggers", True),
        ("Recording started", False),
        ("Recording stopped", False),
    ]
    triggers = annotations[0]
    assert triggers["useValueForTime"] is True
    assert (triggers["titleFormat"], triggers["textFormat"]) == ("{{type}}", "{{streamer}}")
    assert triggers["tagKeys"] == "streamer,type"
    titles = {panel["id"]: panel["title"] for panel in dashboard["panels"]}
    for each in annotations:
        assert each["target"]["refId"] == "Anno"
        assert "expr" not in each
        assert each["filter"]["exclude"] is False
        assert all(
            titles[panel].startswith(("Viewers", "Chat velocity", "Recording")) for panel in each["filter"]["ids"]
        )


@everywhere
def test_no_meaning_is_told_by_red_against_green(uid: str) -> None:
    """Colours with a meaning are Okabe and Ito's, or grey; streamers' lines are told apart by name as well."""
    text = encoded()[f"{uid}.json"]
    fixed = set(re.findall(r'"(?:color|fixedColor|iconColor)": "([^"]*)"', text))
    assert fixed <= {"#56B4E9", "#E69F00", "#CC79A7", "#F0E442", "#8E8E8E", "rgba(128, 128, 128, 0.25)"}
    modes = set(re.findall(r'"mode": "((?:palette|continuous)[^"]*)"', text))
    assert modes <= {"palette-classic-by-name"}
