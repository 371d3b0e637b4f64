"""All commands, by task: what `mailrun --help` shows."""

import click

from engine import __version__
from engine.cli.declare import Group, refuse_options_that_the_command_lacks
from engine.cli.options import make_common_options
from engine.cli.tasks import account, data, feedback, notify, prepare, send, ses, suppress, watch

TASKS = {
    "Prepare": (prepare.init, prepare.plan, prepare.preview, prepare.check, prepare.test),
    "Send": (send.launch, send.work, send.pause, send.resume, send.cancel),
    "Watch": (watch.status, watch.report, watch.audit, watch.resolve, watch.dashboard, notify.notify),
    "Feedback": (feedback.events, feedback.inbound, suppress.suppress, feedback.unsubscribe_server),
    "Account and set-up": (ses.ses, account.sandbox, account.config, account.doctor, account.completion),
    "Personal data": (data.forget, data.prune),
}

cli = click.version_option(__version__, prog_name="mailrun")(
    Group(
        "mailrun",
        help="""Send one campaign to one audience through Amazon SES, and account for every recipient.

        Write a campaign as its name or its folder, and a run as CAMPAIGN/KEY. For the options of a command, see
        `mailrun COMMAND --help`.
        """,
        commands=[command for commands in TASKS.values() for command in commands],
        tasks={task: [str(command.name) for command in commands] for task, commands in TASKS.items()},
        params=make_common_options(),
        callback=refuse_options_that_the_command_lacks,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        examples=["mailrun init", "mailrun launch campaigns/welcome --sandbox", "mailrun status"],
    )
)
