"""Fixtures of set-ups: an empty account."""

from collections.abc import Iterator

import pytest
from support.aws import TestAccount, point_to, run_account


@pytest.fixture(scope="session")
def shared_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestAccount]:
    """An account that the tests of a session use, one after the other."""
    with run_account(tmp_path_factory.mktemp("sandbox")) as account:
        yield account


@pytest.fixture
def account(shared_account: TestAccount, aws: pytest.MonkeyPatch) -> TestAccount:
    """An empty account."""
    point_to(shared_account, aws)
    shared_account.reset()
    return shared_account
