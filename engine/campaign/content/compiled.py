"""Compiled content that is used again for a copy of the same files: a launch reads the templates of three folders."""

import hashlib
from collections.abc import Mapping

from msgspec import Struct

from engine.campaign.content.link_tags import LinkTagging, choose_tagging
from engine.campaign.content.templates import CampaignContent, compile_content
from engine.campaign.files import list_files, read_file
from engine.campaign.spec import Campaign, CampaignSpec
from engine.errors import DataError


class _Compiled(Struct, frozen=True):
    """The content that was compiled last in this process, and what it was compiled from."""

    spec: CampaignSpec
    tagging: LinkTagging | None
    digests: Mapping[str, bytes]
    content: CampaignContent


_last: list[_Compiled] = []  # at most one


def compile_or_reuse(campaign: Campaign) -> CampaignContent:
    """Compile a campaign's templates, or use what was compiled last if every file is the same.

    The campaign is checked, planned, checked as it is frozen, and sent: from its folder and from copies of it.

    Raises:
        DataError: as compile_content.
    """
    spec, digests = _take_comparable(campaign.spec), _digest_files(campaign)
    tagging = choose_tagging(campaign.spec)
    if digests is None:
        return compile_content(campaign)
    if _last and (_last[0].spec, _last[0].tagging, _last[0].digests) == (spec, tagging, digests):
        content = _last[0].content.move(campaign)
    else:
        content = compile_content(campaign)
    _last[:] = [_Compiled(spec, tagging, digests, content)]
    return content


def _take_comparable(spec: CampaignSpec) -> CampaignSpec:
    """Leave out what an option of the command line replaces, and no template sees: transport and audience.

    What the transport decides is compared by itself: whether links are tagged.
    """
    audience = spec.audience.model_copy(update={"source": ()})
    return spec.model_copy(update={"delivery": None, "audience": audience})


def _digest_files(campaign: Campaign) -> dict[str, bytes] | None:
    """Return the digest of every file by its name in a copy; None if they cannot be read now."""
    digests = {}
    try:
        for name in list_files(campaign.folder):
            content = read_file(campaign.folder, name)
            if content is None:
                return None
            digests[name] = hashlib.sha256(content).digest()
    except DataError:  # which compiling names
        return None
    return digests
