"""Whatever fits the service's own description of itself, and much that does not, is answered without a failure."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

import geoanchor
from app.access import Access
from app.api import create_api
from geoanchor.settings import Settings

_CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance]
_EXAMPLES = 8


@pytest.fixture(scope="module")
def schema(painted_index: Path) -> Any:
    index = geoanchor.open(painted_index, settings=Settings(max_upload_bytes=40_000, max_pixels=10_000))
    return schemathesis.openapi.from_asgi("/openapi.json", create_api(index, Access(requests_per_s=0)))


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_request_makes_it_fail(schema: Any, mode: GenerationMode) -> None:
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 20
    for operation in operations:

        @settings(
            max_examples=_EXAMPLES, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy(generation_mode=mode))
        def asked(case: Any) -> None:
            case.call_and_validate(checks=_CHECKS)

        # Some operations take nothing that could be wrong.
        with suppress(Unsatisfiable) if mode is GenerationMode.NEGATIVE else nullcontext():
            asked()
