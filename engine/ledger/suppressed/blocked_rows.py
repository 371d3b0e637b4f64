"""Which mail suppressions block, for columns of entries: the rule of suppression_scope as an expression of Polars."""

import polars as pl

from engine.ledger.suppressed.suppression_scope import OF_ALL_MAIL, CampaignKind


def are_blocked(*, campaign_topic: str | None, kind: CampaignKind) -> pl.Expr:
    """Return `is_blocked` for rows of entries.

    Returns:
        A Boolean expression over `topic` (String, null or empty for all mail) and `known` (String, a `Reason`; null
        where the reason is not in the enum).
    """
    to_all = (pl.col("topic").fill_null("") == "") | pl.col("known").is_in([str(one) for one in OF_ALL_MAIL])
    to_all = to_all.fill_null(value=False)
    if kind == "transactional" or campaign_topic is None:
        return to_all
    return to_all | (pl.col("topic").str.to_lowercase() == campaign_topic.strip().lower())
