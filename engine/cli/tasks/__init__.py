"""The commands as a person sees them, by task: names, help, examples, arguments and options.

A module here imports nothing heavy: `mailrun --help`, the help of a command and shell completion answer in an instant.
What a command does is in `commands/`, and is imported when the command runs.
"""
