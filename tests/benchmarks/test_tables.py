"""The README quotes only figures that are kept, and its table is the generated one."""

from __future__ import annotations

import pytest

from benchmarks.tables import ROOT, TABLES, results, rewritten


@pytest.mark.parametrize("name", TABLES)
def test_a_documents_table_is_generated_from_the_kept_results(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert rewritten(text, TABLES[name]) == text


def test_every_kept_result_names_its_commit_and_date() -> None:
    documents = results()
    assert {document["benchmark"] for document in documents} >= {"taxi", "cartpole", "open_bandit", "demo_cycles"}
    for document in documents:
        assert document["environment"]["commit"] and document["environment"]["date"]
        for row in document["rows"]:
            assert set(row) >= {"case", "metric", "unit", "ours", "anchor", "anchor_value", "ratio", "goal", "holds"}
