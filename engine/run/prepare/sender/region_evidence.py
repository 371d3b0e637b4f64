"""The evidence of several regions as one list: what differs names its region. Pure."""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from engine.authentication.sender_rules import Evidence


def merge_evidence(found: Mapping[str, Sequence[Evidence]]) -> list[Evidence]:
    """Merge what was found about the same rules in each region.

    Args:
        found: region to its evidence; the name is empty where the campaign names no regions.

    Returns:
        What is the same in all regions once and as it is; anything else with the names of its regions before it.
    """
    regions: dict[Evidence, list[str]] = {}
    for region, evidence in found.items():
        for one in dict.fromkeys(evidence):
            regions.setdefault(one, []).append(region)
    return [
        one if len(names) == len(found) else replace(one, what=f"{', '.join(names)}: {one.what}")
        for one, names in regions.items()
    ]
