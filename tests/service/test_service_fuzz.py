"""No request to a route of the OpenAPI page makes the service fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from service_made import Index, serving

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.mark.slow
def test_no_request_that_can_be_made_from_the_openapi_page_makes_it_fail(tmp_path: Path) -> None:
    index = Index()
    index.encoder.fails = False
    with serving(index) as url:
        done = subprocess.run(
            [
                sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--checks", CHECKS,
                "--max-examples", "100", "--seed", "10", "--continue-on-failure", "--generation-database", "none",
                "--no-color",
            ],
            env={**os.environ, "SCHEMATHESIS_HOOKS": "fuzz_hooks", "PYTHONPATH": str(Path(__file__).parent)},
            cwd=tmp_path, capture_output=True, text=True, timeout=3_000, check=False,
        )  # fmt: skip
        told = httpx.get(f"{url}/metrics", timeout=60).text
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]
    assert 'status="500"' not in told
    for route in ("/search", "/v1/embeddings"):
        for status in (200, 400):
            assert f'route="{route}",status="{status}"' in told
