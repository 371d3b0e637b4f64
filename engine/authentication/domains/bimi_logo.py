"""The logo of BIMI: an SVG file of the profile Tiny PS, checked by checkdmarc and by what the profile forbids."""

from xml.parsers.expat import ParserCreate

import checkdmarc.bimi

LOGO_BYTES_MAXIMUM = 32_000  # of the profile: 32 KB
_FORBIDDEN = frozenset(
    {"script", "image", "a", "foreignObject", "iframe", "audio", "video", "style"}
    | {"animate", "animateColor", "animateMotion", "animateTransform", "set", "discard"}
)
_FAULTS_MAXIMUM = 5  # that are named


def find_logo_faults(svg: bytes) -> list[str]:
    """List what is wrong with a file; empty where receivers may show it.

    Source: https://datatracker.ietf.org/doc/draft-svg-tiny-ps-abrotman/
    """
    try:
        metadata = checkdmarc.bimi.get_svg_metadata(svg)
        faults = [" ".join(fault.split()) for fault in checkdmarc.bimi.check_svg_requirements(metadata)]
        if metadata["width"] != metadata["height"]:
            faults.append(f"The image is not square: its viewBox is {metadata['width']:g} x {metadata['height']:g}")
        faults += _find_forbidden(svg)
    except Exception as error:  # noqa: BLE001 - a hostile file may break the parser in any way
        return [f"The file is not an SVG image: {' '.join(str(error).split())}"]
    return list(dict.fromkeys(faults))[:_FAULTS_MAXIMUM]


def _find_forbidden(svg: bytes) -> list[str]:
    """List elements and attributes that the profile forbids. The file is known to have no entities of its own."""
    faults: list[str] = []

    def read_element(name: str, attributes: dict[str, str]) -> None:
        if (local := name.rpartition(":")[2]) in _FORBIDDEN:
            faults.append(f"The profile does not permit the element {local}")
        for attribute, value in attributes.items():
            plain = attribute.rpartition(":")[2].lower()
            if plain.startswith("on"):
                faults.append(f"The profile does not permit the script {plain}")
            elif plain == "href" and not value.startswith("#"):
                faults.append("The profile does not permit a reference to another file")

    parser = ParserCreate()
    parser.StartElementHandler = read_element
    parser.Parse(svg, True)  # noqa: FBT003 - expat takes no names
    return faults
