"""What the pages about addresses, suppressions, the account and comparisons show in tests: data of hostile people."""

from datetime import timedelta

from engine.ledger.journal import Outcome, Result
from engine.ledger.suppressed.suppressions import Suppression, add_suppressions
from engine.report.figures.figures_file import refresh_figures
from engine.workspace import Workspace
from support.sent_runs import PEOPLE, SENT_AT, add_events, add_run, make_event_of_row

ANN = "ann.lee@x.example"
FIRST, SECOND, THIRD = "weekly/1", "weekly/2", "weekly/3"
COMPARISON = f"/compare?a={FIRST}&b={SECOND}&c={THIRD}"
OWNED = "<script>document.title='owned'</script><img src=x onerror=document.title='owned'>"
HOSTILE_TEXT = f"{OWNED}\u202egpj.exe " + "x" * 400
HOSTILE_LINK = "https://acme.example/?q=" + OWNED.replace(" ", "%20") + "y" * 300
ENTRIES = 60  # of the suppression list: more than a page
WEEK = timedelta(days=7)


def fill_with_ann(workspace: Workspace) -> None:
    """Add three runs with ANN: sent with every kind of event, refused, and excluded as suppressed."""
    add_run(workspace, FIRST, f"{PEOPLE}{ANN}\n")
    refused = Result(0, Outcome.REFUSED, None, HOSTILE_TEXT, (SENT_AT + WEEK).timestamp(), 2)
    add_run(workspace, SECOND, f"{PEOPLE}{ANN}\n", at=SENT_AT + WEEK, outcomes={ANN: refused})
    with workspace.ledger.write() as tx:
        add_suppressions(tx, [Suppression(ANN, "news", "unsubscribe", HOSTILE_TEXT, SENT_AT + timedelta(hours=3))])
        add_suppressions(
            tx,
            [
                Suppression(f"person{number}@d.example", "", "bounce", "a list", SENT_AT - timedelta(days=1))
                for number in range(ENTRIES)
            ],
        )
    bounced = {"status": "5.1.1", "diagnosticCode": f"smtp; 550 {HOSTILE_TEXT}", "emailAddress": ANN}
    events = [
        make_event_of_row("Delivery", FIRST, 31, ANN),
        make_event_of_row("Open", FIRST, 31, ANN, userAgent="Mozilla/5.0"),
        make_event_of_row("Click", FIRST, 31, ANN, link=HOSTILE_LINK),
        make_event_of_row("Complaint", FIRST, 31, ANN),
        make_event_of_row("Bounce", FIRST, 31, ANN, bouncedRecipients=[bounced]),
    ]
    for number in range(1, 31):
        address = f"person{number - 1}@x.example"
        events.append(make_event_of_row("Delivery", FIRST, number, address))
        events.append(make_event_of_row("Bounce", SECOND, number, address, at=SENT_AT + WEEK))
    add_events(workspace, events)
    add_run(workspace, THIRD, f"{PEOPLE}{ANN}\n", at=SENT_AT + 2 * WEEK)
    refresh_figures(workspace.ledger, workspace.store, workspace.clock, [FIRST, SECOND], is_forced=True)
