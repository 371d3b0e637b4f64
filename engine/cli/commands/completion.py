"""`mailrun completion`."""

import click

from engine.cli.printing import print_lines

VARIABLE = "_MAILRUN_COMPLETE"  # click's name for it


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    r"""Print the script that completes mailrun in SHELL.

    It completes commands and options, campaigns of the workspace, and runs of the ledger.

    \b
    Examples:
      eval "$(mailrun completion bash)"                                  in ~/.bashrc
      eval "$(mailrun completion zsh)"                                   in ~/.zshrc
      mailrun completion fish > ~/.config/fish/completions/mailrun.fish
    """
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - keeps --help fast

    made = get_completion_class(shell)
    assert made is not None  # noqa: S101 - click has these three
    print_lines(made(context.find_root().command, {}, "mailrun", VARIABLE).source())
