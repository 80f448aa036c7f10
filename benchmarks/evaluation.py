"""What the rules in ``alerts/rules.yml`` make of given series, computed by Prometheus's own engine.

``promtool test rules`` evaluates a rule file over given series, ``for`` and ``keep_firing_for`` included, and prints
the samples it got wherever they are not what the test expects. Tests that expect nothing therefore print every answer.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from alerts.recorded import RULES, SCRAPE_INTERVAL

GROUPS = ("clipper-thresholds", "clipper-streamers", "clipper-recording", "clipper-exporter")
_SAMPLE = re.compile(r'\{((?:[a-z_]+="[^"{}]*"(?:, )?)+)\} ([-+0-9.E]+|NaN)')
_LABEL = re.compile(r'([a-z_]+)="([^"]*)"')


class Query(NamedTuple):
    """An instant query: ``expression`` at ``second`` of the series."""

    expression: str
    second: int


class Sample(NamedTuple):
    """One sample of a query's answer."""

    labels: Mapping[str, str]
    value: float


class EvaluationError(Exception):
    """promtool could not evaluate the rules; the message is what it printed."""


def evaluate(
    promtool: Path, series: Mapping[str, str], queries: Sequence[Query], *, recorded: Mapping[str, str] | None = None
) -> list[list[Sample]]:
    """Answer ``queries`` over ``series``, whose values are in promtool's notation at one sample a second.

    ``recorded`` maps the names of more recording rules to their expressions; they are evaluated after the others.
    Label values must be free of quotes and braces. Raises EvaluationError.
    """
    test = {
        "rule_files": [str(RULES), "recorded.yml"],
        "group_eval_order": [*GROUPS, "recorded"],
        "evaluation_interval": f"{SCRAPE_INTERVAL}s",
        "tests": [
            {
                "interval": "1s",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {
                        "expr": f'label_replace({query.expression}, "query", "{number}", "", "")',
                        "eval_time": f"{query.second}s",
                        "exp_samples": [],
                    }
                    for number, query in enumerate(queries)
                ],
            }
        ],
    }
    with tempfile.TemporaryDirectory() as folder:
        rules = [{"record": name, "expr": expression} for name, expression in (recorded or {}).items()]
        Path(folder, "recorded.yml").write_text(
            json.dumps({"groups": [{"name": "recorded", "rules": rules}]}), encoding="utf-8"
        )
        file = Path(folder, "test.yml")
        file.write_text(json.dumps(test), encoding="utf-8")
        run = subprocess.run(
            [str(promtool), "test", "rules", str(file)], capture_output=True, text=True, check=False, encoding="utf-8"
        )
    output = run.stdout + run.stderr
    answers: list[list[Sample]] = [[] for _ in queries]
    for text, value in _SAMPLE.findall(output):
        labels = dict(_LABEL.findall(text))
        answers[int(labels.pop("query"))].append(Sample(labels, float(value)))
    if run.returncode != 0 and not any(answers):
        raise EvaluationError(output)
    return answers
