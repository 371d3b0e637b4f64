"""A session of botocore that loads its data faster; what it loads, and what follows from it, is the same.

botocore lists the folders of all services to find one, and parses the endpoints of all services with Python's `json`.
"""

import gzip
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from botocore.exceptions import DataNotFoundError
from botocore.loaders import JSONFileLoader, Loader
from botocore.session import Session


class _Files(JSONFileLoader):  # type: ignore[misc] # botocore publishes no types
    """botocore's files of data, parsed by orjson."""

    def load_file(self, file_path: str) -> Any:
        """Parse NAME.json or NAME.json.gz; None where neither exists."""
        plain, packed = Path(f"{file_path}.json"), Path(f"{file_path}.json.gz")
        if plain.is_file():
            return orjson.loads(plain.read_bytes())
        return orjson.loads(gzip.decompress(packed.read_bytes())) if packed.is_file() else None


class _Data(Loader):  # type: ignore[misc] # as above
    """botocore's data, in the same folders; looks for one service alone."""

    _sought = ""

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        """Load a model of a service.

        Raises:
            UnknownServiceError: there is no such service.
        """
        self._sought = service_name
        return super().load_service_model(service_name, type_name, api_version)

    def list_available_services(self, type_name: str) -> Sequence[str]:
        """List the service that is being loaded, or all where it does not exist."""
        try:
            self.list_api_versions(self._sought, type_name)
        except DataNotFoundError:
            services: Sequence[str] = super().list_available_services(type_name)
            return services
        return [self._sought]


def make_session() -> Session:
    """Make a session: region, profile and credentials are those of the environment and of AWS's files.

    Raises:
        botocore.exceptions.BotoCoreError: the profile does not exist, or a file cannot be parsed.
    """
    session = Session()
    searched = session.get_config_variable("data_path")
    folders = [os.path.expandvars(folder) for folder in searched.split(os.pathsep)] if searched else None
    if folders is not None:
        folders = [os.path.expanduser(folder) for folder in folders]  # noqa: PTH111 - as botocore does
    session.register_component("data_loader", _Data(folders, _Files()))
    return session
