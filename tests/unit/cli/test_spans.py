import io
import json

from rich.console import Console

from gateway.cli import spans, tracing


def line(span_id, parent="", name="x", kind="internal", service="run", trace="t1", run="", at=0):
    attributes = {"podium.run_id": run} if run else {}
    return json.dumps(
        {
            "trace_id": trace,
            "span_id": span_id,
            "parent_id": parent,
            "name": name,
            "kind": kind,
            "service": service,
            "start_ns": at,
            "end_ns": at + 2_000_000,
            "status": "unset",
            "attributes": attributes,
        }
    )


def write(folder, *lines, name="a.jsonl"):
    (folder / name).write_text("\n".join(lines) + "\n")


def test_spans_of_several_processes_make_one_tree(tmp_path):
    write(tmp_path, line("1", name="CreateRun", kind="server", run="run_1"), name="run-1.jsonl")
    write(tmp_path, line("2", "1", name="block", service="workflow", at=5), name="workflow-2.jsonl")
    (root,) = spans.tree(spans.of_run(tmp_path, "run_1"))
    assert root.name == "CreateRun"
    assert [child.service for child in root.children] == ["workflow"]
    assert root.took_ms == 2


def test_what_belongs_to_another_run_is_left_out(tmp_path):
    write(
        tmp_path,
        line("1", run="run_1"),
        line("2", run="run_2"),
        line("3", trace="t2", run="run_2"),
    )
    assert [span.span_id for span in spans.of_run(tmp_path, "run_1")] == ["1"]


def test_a_half_written_line_is_skipped(tmp_path):
    write(tmp_path, line("1", run="run_1"), '{"trace_id": "t1", "span')
    assert len(spans.of_run(tmp_path, "run_1")) == 1


def test_the_cost_counts_calls_commits_and_messages(tmp_path):
    write(
        tmp_path,
        line("1", kind="server", service="run", run="run_1"),
        line("2", kind="client", service="gateway"),
        line("3", kind="server", service="task"),
        line("4", name="commit"),
        line("5", name="publish run.created"),
    )
    assert spans.cost(spans.of_run(tmp_path, "run_1")) == {
        "grpc_calls": 2,
        "commits": 1,
        "bus_messages": 1,
        "grpc_calls_by_service": {"run": 1, "task": 1},
    }


def test_a_waterfall_shows_when_and_for_how_long(tmp_path):
    write(
        tmp_path,
        line("1", name="/podium.run.v1.RunService/GetRun", kind="client", run="run_1"),
        line("2", "1", name="answers", kind="server", at=1_000_000),
        line("3", "2", name="react run.created", service="webhook", at=6_000_000),
    )
    roots = spans.tree(spans.of_run(tmp_path, "run_1"))
    console = Console(record=True, file=io.StringIO(), soft_wrap=True)
    for each in tracing.waterfall(roots):
        console.print(each)
    head, asks, answers, reacts = console.export_text().rstrip().splitlines()
    assert head.split() == ["at", "ms", "took", "ms", "span"]
    assert asks.split()[1:] == "0.0 2.0 run run.GetRun 0.0 on the way, by Envoy".split()
    assert answers.split()[1:] == "1.0 2.0 run answers".split()
    assert reacts.split()[1:] == "6.0 2.0 webhook react run.created over the bus".split()
    assert asks.index("━") < answers.index("━") < reacts.index("━")
    assert asks.index("run ") < answers.index("run ") < reacts.index("webhook")
