"""The session of botocore that loads faster: the same data, services and errors as botocore's own."""

from pathlib import Path

import botocore.session
import pytest
from botocore.exceptions import UnknownServiceError

from engine.account.session import make_session

pytestmark = pytest.mark.usefixtures("aws")


@pytest.mark.parametrize("service", ["sesv2", "sts", "sso", "sso-oidc"])
def test_models_equal_those_of_botocore(service: str):
    own, usual = (session.get_component("data_loader") for session in (make_session(), botocore.session.Session()))
    for kind in ("service-2", "endpoint-rule-set-1"):
        assert own.load_service_model(service, kind) == usual.load_service_model(service, kind)
    for name in ("endpoints", "partitions", "_retry", "sdk-default-configuration"):
        assert own.load_data_with_path(name) == usual.load_data_with_path(name)


def test_unknown_service_is_refused_with_all_that_exist():
    with pytest.raises(UnknownServiceError, match="sesv2"):
        make_session().get_component("data_loader").load_service_model("nothing", "service-2")


def test_data_of_a_configured_folder_come_first(aws: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "partitions.json").write_text('{"partitions": []}')
    aws.setenv("AWS_DATA_PATH", str(tmp_path))
    assert make_session().get_component("data_loader").load_data("partitions") == {"partitions": []}
