"""Fixtures of set-ups: an empty account."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from support.aws import reset, run_moto_server, set_up_environment


@pytest.fixture(scope="session")
def moto_server() -> Iterator[str]:
    """A server of moto, for tests that need the account for themselves."""
    with run_moto_server() as url:
        yield url


@pytest.fixture
def account(moto_server: str, aws: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[], None]]:
    """An empty account; the function empties moto again."""
    reset(moto_server)
    with set_up_environment(aws, moto_server, tmp_path / "sandbox"):
        yield partial(reset, moto_server)
