"""`make sbom`: the packages that mailrun installs, as a CycloneDX document.

The same lock makes the same document, byte for byte: its serial number comes from its content, and it has a time only
where SOURCE_DATE_EPOCH (https://reproducible-builds.org/specs/source-date-epoch/) gives one.
"""

import json
import os
import sys
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from engine import __version__
from requirements.licences import find_licence
from requirements.locked import FOLDER, ROOT, Locked, read_lock

DIST = FOLDER.parent / "dist"


def make_sbom(packages: list[Locked], environment: Mapping[str, str]) -> str:
    """Make the document, as CycloneDX 1.6 in JSON.

    Args:
        packages: of the lock; each is installed, as its licence comes from there.
        environment: of the process: SOURCE_DATE_EPOCH is seconds since 1970.
    """
    bom = Bom()
    root = _make_component(ROOT, __version__, "Apache-2.0", (), ComponentType.APPLICATION)
    components = {p.name: _make_component(p.name, p.version, find_licence(p.name), p.hashes) for p in packages}
    bom.metadata.component = root
    bom.components.update(components.values())
    for name, component in {ROOT: root, **components}.items():
        bom.register_dependency(component, [components[p.name] for p in packages if name in p.needed_by])
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    del document["serialNumber"], document["metadata"]["timestamp"]
    if "SOURCE_DATE_EPOCH" in environment:
        at = datetime.fromtimestamp(int(environment["SOURCE_DATE_EPOCH"]), UTC)
        document["metadata"]["timestamp"] = at.isoformat().replace("+00:00", "Z")
    content = json.dumps(document, sort_keys=True)
    document["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, content).urn
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _make_component(
    name: str, version: str, licence: str, hashes: tuple[str, ...], kind: ComponentType = ComponentType.LIBRARY
) -> Component:
    purl = PackageURL("pypi", name=name, version=version)
    return Component(
        name=name,
        version=version,
        type=kind,
        purl=purl,
        bom_ref=purl.to_string(),
        licenses=[LicenseFactory().make_from_string(licence)],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in hashes],
    )


def main() -> int:
    """Write dist/mailrun-VERSION.cdx.json; returns the exit code."""
    DIST.mkdir(exist_ok=True)
    path = DIST / f"{ROOT}-{__version__}.cdx.json"
    path.write_text(make_sbom(read_lock(), os.environ), encoding="utf-8")
    print(path.relative_to(FOLDER.parent))
    return 0


if __name__ == "__main__":
    sys.exit(main())
