"""What to do about a run, as a table of rules over its figures. Pure.

Each rule compares one figure with a limit, and gives the reason with the figure. Small counts give no rate: a rule that
judges a rate needs FEWEST cases.
"""

from collections.abc import Iterator

from msgspec import Struct

from engine.report.figures.advice import advice_of_delivery as delivery
from engine.report.figures.advice import advice_of_sending as sending
from engine.report.figures.advice.advice_measures import Because, Level
from engine.report.figures.document import Advice, Figures


class AdviceRule(Struct, frozen=True):
    """A recommendation, and when it applies.

    Attributes:
        level: `act` where something is wrong, `improve` where something could be better.
        because: gives the reason with the figure; None where the rule does not apply.
        do: what to do.
        command: shows or does it; CAMPAIGN, KEY and RUN are replaced. Empty where there is none.
    """

    level: Level
    because: Because
    do: str
    command: str = ""


RULES: tuple[AdviceRule, ...] = (
    AdviceRule("act", sending.is_unbalanced, "Prove the accounts from the files.", "mailrun audit RUN"),
    AdviceRule("act", sending.has_in_doubt, "Settle the recipients in doubt.", "mailrun resolve RUN"),
    AdviceRule(
        "act", sending.is_paused_by_guard,
        "Find the cause. To send anyway, resume the run, then launch it again.", "mailrun resume RUN",
    ),
    AdviceRule("act", sending.is_paused_by_person, "Resume the run when the reason is gone.", "mailrun resume RUN"),
    AdviceRule("act", sending.is_stopped, "Launch the run again to send the rest.", sending.LAUNCH),
    AdviceRule(
        "act", delivery.has_no_events,
        "Set up events and pull them: without them, bounces and complaints are not seen.", "mailrun events pull",
    ),
    AdviceRule(
        "act", delivery.bounces_like_a_paused_account,
        "Send nothing more to this audience before you know where its addresses are from: SES may pause the account.",
        "mailrun ses reputation",
    ),
    AdviceRule(
        "act", delivery.bounces_like_a_reviewed_account,
        "Clean the audience before its next campaign: SES reviews accounts with such a rate.", "mailrun ses reputation",
    ),
    AdviceRule(
        "act", delivery.is_complained_of_much,
        "Mail only people who asked for this mail, and make it easy to unsubscribe: Gmail and Yahoo block senders"
        " who reach 0.3%.", "mailrun ses reputation",
    ),
    AdviceRule(
        "act", delivery.is_complained_of,
        "Look at who complained, and whether they asked for this mail: SES reviews accounts from 0.1% on, and Gmail and"
        " Yahoo ask for less.", "mailrun ses reputation",
    ),
    AdviceRule(
        "act", delivery.is_unauthenticated,
        "Correct SPF, DKIM and DMARC of the sender's domain.", "mailrun check CAMPAIGN",
    ),
    AdviceRule("act", delivery.fails_dmarc, "Align DKIM or the MAIL FROM domain with From.", "mailrun check CAMPAIGN"),
    AdviceRule(
        "act", delivery.is_refused_as_spam,
        "Look at the content and the reputation of the sender: receivers take this mail for spam.",
        "mailrun ses reputation",
    ),
    AdviceRule("act", sending.fails_much, "Correct the cause before the next run.", "mailrun status RUN"),
    AdviceRule("improve", sending.fails_a_little, "Correct the cause before the next run.", "mailrun status RUN"),
    AdviceRule(
        "improve", delivery.bounces_noticeably,
        "Clean the audience: remove addresses that have not been mailed or read for long.", "",
    ),
    AdviceRule(
        "improve", delivery.has_unknown_users,
        "Clean the list: check new addresses with a confirmation mail, and remove old ones.", "",
    ),
    AdviceRule(
        "improve", delivery.is_maybe_complained_of,
        "Look at who complained, and whether they asked for this mail; keep complaints below 0.1%.",
        "mailrun ses reputation",
    ),
    AdviceRule(
        "improve", delivery.has_a_bad_receiver,
        "Look at the diagnoses of this receiver, and send to it more slowly with [domains].", "",
    ),
    AdviceRule(
        "improve", delivery.finds_full_mailboxes,
        "Remove addresses whose mailbox stays full: they are abandoned. [suppression] soft_bounces does it.", "",
    ),
    AdviceRule(
        "improve", delivery.is_delayed,
        "Send more slowly to the receivers that delay: set a limit in [domains].", "mailrun status RUN",
    ),
    AdviceRule(
        "improve", delivery.is_unsubscribed_from,
        "Mail less often, or let people choose topics.", "",
    ),
    AdviceRule(
        "improve", delivery.is_suppressed_by_provider,
        "Take the suppression list of SES over, so that these addresses are not sent to.", "mailrun suppress sync",
    ),
    AdviceRule(
        "improve", sending.is_throttled,
        "Lower rate_share in [delivery], or stop other senders of the account: each throttled call is repeated.", "",
    ),
    AdviceRule(
        "improve", sending.ends_slowly,
        "Look at what slowed the end: a limit in [domains], the quota, or too few workers.", "mailrun status RUN",
    ),
    AdviceRule(
        "improve", sending.has_invalid_rows,
        "Correct these rows at their origin.", "mailrun plan CAMPAIGN --export-excluded FILE",
    ),
    AdviceRule(
        "improve", sending.has_missing_data,
        "Fill the required columns, or give them defaults in [audience].",
        "mailrun plan CAMPAIGN --export-excluded FILE",
    ),
    AdviceRule(
        "improve", delivery.is_opened_by_machines,
        "Judge this campaign by clicks: most of its opens are made by machines.", "",
    ),
)  # fmt: skip


def advise(figures: Figures) -> list[Advice]:
    """List what to do about a run, the most important first."""
    return list(_apply(figures))


def _apply(figures: Figures) -> Iterator[Advice]:
    campaign, _, key = figures.run.partition("/")
    for rule in sorted(RULES, key=lambda rule: rule.level != "act"):
        because = rule.because(figures)
        if because is not None:
            command = rule.command.replace("CAMPAIGN", campaign).replace("KEY", key).replace("RUN", figures.run)
            if figures.is_sandbox and rule.command in (sending.LAUNCH, "mailrun events pull"):
                command += " --sandbox"
            yield Advice(rule.level, rule.do, because, command)
