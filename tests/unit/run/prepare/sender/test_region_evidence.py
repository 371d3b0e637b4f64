"""What several regions found, as one list."""

from engine.authentication.results import Verdict
from engine.authentication.sender_rules import Evidence
from engine.run.prepare.sender.region_evidence import merge_evidence

DMARC = Evidence("dmarc", Verdict.PASS, "the domain has a record")
SIGNED = Evidence("dkim", Verdict.PASS, "SES signs")
UNSIGNED = Evidence("dkim", Verdict.FAIL, "SES does not sign")


def test_what_all_regions_share_stands_once_and_the_rest_names_its_regions():
    merged = merge_evidence({"a": [SIGNED, DMARC], "b": [UNSIGNED, DMARC], "c": [SIGNED, DMARC]})
    assert sorted((one.verdict, one.what) for one in merged) == [
        (Verdict.FAIL, "b: SES does not sign"),
        (Verdict.PASS, "a, c: SES signs"),
        (Verdict.PASS, "the domain has a record"),
    ]


def test_campaign_without_regions_keeps_its_evidence_as_it_is():
    assert merge_evidence({"": [SIGNED, DMARC]}) == [SIGNED, DMARC]
