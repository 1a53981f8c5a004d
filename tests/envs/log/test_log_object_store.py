"""The table in an object store: an ``s3://`` address, served by moto in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import polars as pl
import pytest
from deltalake import DeltaTable

from envs.build import build_dataset
from envs.errors import DataError
from envs.home import Home
from envs.journal.journal import Journal
from envs.journal.reading import LogReader
from envs.log import sealing, table
from envs.log.compaction import compact
from envs.log.forgetting import forget
from envs.log.sealing import seal
from envs.log.store import storage_options
from envs.log.table import SealedTable
from tests.envs.log.logs import AGENT, assert_same, home_at, moment, outcome, record
from tests.envs.object_store import object_store

HTTP = {"allow_http": "true"}  # other tools have to be told


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with object_store("log"):
        yield "log"


def test_a_log_in_an_object_store(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = home_at(tmp_path, reward="", worst_class="", guardrails=())
    text = home.configuration_path.read_text()
    home.configuration_path.write_text(f'{text}\n[log]\ntable = "s3://{bucket}/decisions"\n')
    journal = Journal(home.journal_path)
    for number in range(12):
        tenant = "acme" if number % 3 == 0 else "default"
        journal.append(
            [record(f"{number}-{step}", f"{number}", step, tenant=tenant, timestamp=moment(900 * number + step),
                    reward=1.0, terminated=step == 1) for step in range(2)]
        )  # fmt: skip
    journal.append([outcome("1-0", outcome={"gain": 2})])
    plain, _ = build_dataset(home, AGENT)
    before = list(LogReader(journal, AGENT))

    with monkeypatch.context() as patch:  # killed after the commit: the table says what it has

        def stopped(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(sealing, "_noted", stopped)
        with pytest.raises(KeyboardInterrupt):
            seal(home)
    assert list(LogReader(journal, AGENT)) == before
    seal(home)
    uri = f"s3://{bucket}/decisions"
    assert journal.sealed().table == uri and not (home.data_path / "table").exists()
    assert DeltaTable(uri, storage_options=HTTP).to_pyarrow_table().num_rows == 24
    assert list(LogReader(journal, AGENT)) == before
    assert_same(build_dataset(home, AGENT)[0], plain)
    assert pl.scan_delta(uri, storage_options=HTTP).select(pl.len()).collect().item() == 24
    assert compact(home, older_than_hours=0).files_after > 0
    assert_same(build_dataset(home, AGENT)[0], plain)
    assert forget(home, "acme").decisions == {AGENT: 8}
    assert Journal(home.journal_path).counts() == {AGENT: 16}
    listed = boto3.client("s3", endpoint_url=_endpoint(), region_name="us-east-1").list_objects_v2(Bucket=bucket)
    bodies = (
        boto3.client("s3", endpoint_url=_endpoint(), region_name="us-east-1").get_object(Bucket=bucket, Key=item["Key"])
        for item in listed["Contents"]
    )
    assert not any(b"acme" in body["Body"].read() for body in bodies)
    assert Home(home.path).agents() == [AGENT]


def test_a_store_that_fails_says_what_where_and_what_to_do(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_at(tmp_path)
    text = home.configuration_path.read_text()
    with Journal(home.journal_path) as journal:
        journal.append([record("a", "a", 0)])
    home.configuration_path.write_text(f'{text}\n[log]\ntable = "s3://nowhere/decisions"\n')
    _refuses(seal, home, "s3://nowhere/decisions", "written")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(table, "storage_options", lambda uri: {**(storage_options(uri) or {}), "max_retries": "0"})
    _refuses(seal, home, "s3://nowhere/decisions", "written")
    _refuses(SealedTable.open, f"s3://{bucket}/decisions", f"s3://{bucket}/decisions", "read")


def _refuses(function: Callable[[Any], object], argument: Any, where: str, verb: str) -> None:
    with pytest.raises(DataError) as caught:
        function(argument)
    said = str(caught.value)
    assert said.startswith(f"{where}: cannot be {verb} (") and "AWS_ENDPOINT_URL" in caught.value.remedy
    assert "\x1b" not in said and "\n" not in said and len(said) < 500


def _endpoint() -> str:
    import os

    return os.environ["AWS_ENDPOINT_URL"]
