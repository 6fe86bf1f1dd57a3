"""Every alert asks for figures that exist, and leads to a page that says what to do."""

import json
import re

import pytest
import yaml
from prometheus_client import REGISTRY, generate_latest

from deploy import layout
from deploy.kubernetes import generated, rendering
from libs import metrics
from services.webhook import filters
from services.workflow import templates

PROMETHEUS = layout.ROOT / "deploy" / "compose" / "prometheus"
DASHBOARD = layout.ROOT / "deploy" / "compose" / "grafana" / "dashboards" / "podium.json"
PAGES = layout.ROOT / "docs" / "runbook"
(GROUP,) = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
RULES = {rule["alert"]: rule for rule in GROUP["rules"]}
SHOWN = {
    f"{panel['title']} {target['refId']}": target["expr"]
    for panel in json.loads(DASHBOARD.read_text())["panels"]
    for target in panel["targets"]
}
EXPRESSIONS = {**{name: rule["expr"] for name, rule in RULES.items()}, **SHOWN}


def exported():
    """The names of all series that a process of ours serves."""
    assert metrics
    assert filters
    assert templates
    kinds = re.findall(r"^# TYPE (\w+) (\w+)$", generate_latest(REGISTRY).decode(), re.MULTILINE)
    names = {name for name, _ in kinds}
    for name, kind in kinds:
        if kind == "histogram":
            names |= {f"{name}_{part}" for part in ("bucket", "count", "sum")}
    return names


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_it_asks_for_figures_that_exist(name):
    expression = EXPRESSIONS[name]
    asked = set(re.findall(r"\bpodium_\w+", expression))
    assert asked <= exported(), asked - exported()
    assert asked or re.search(r"\benvoy_|\bup\b", expression)
    assert expression.count("(") == expression.count(")")
    assert expression.count("{") == expression.count("}")


@pytest.mark.parametrize("name", RULES)
def test_it_leads_to_a_page(name):
    rule = RULES[name]
    assert rule["annotations"]["runbook"] == f"docs/runbook/{name}.md"
    assert rule["labels"]["severity"] in ("critical", "warning")
    page = (PAGES / f"{name}.md").read_text()
    assert page.startswith(f"# {name}\n")
    for part in ("**What it means.**", "**Where to look**", "**What to do**"):
        assert part in page
    for other in re.findall(r"\]\((\w+)\.md\)", page):
        assert other in RULES


def test_every_page_is_of_an_alert():
    assert {page.stem for page in PAGES.glob("*.md")} == set(RULES)


def test_prometheus_reads_them_and_so_does_its_operator():
    told = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    assert told["rule_files"] == ["alerts.yml"]
    pytest.importorskip("helm_python")
    found = rendering.render({"serviceMonitor": {"enabled": True}})
    (rule,) = [each for each in found if each["kind"] == "PrometheusRule"]
    assert rule["spec"]["groups"][0]["rules"] == GROUP["rules"]
    assert generated.stale() == []
