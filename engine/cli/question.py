"""A question to a person at a terminal, asked on the event loop so that signals are handled while it waits."""

import asyncio
import os
import sys

import click


async def ask(question: str) -> bool:
    """Ask on stderr, read the answer from stdin; anything but yes is no.

    Not in a thread: a thread that waits for stdin cannot be cancelled, and would keep the process from ending.
    """
    click.echo(f"{question} [y/N]: ", nl=False, err=True)
    loop, stdin = asyncio.get_running_loop(), sys.stdin.fileno()
    readable = asyncio.Event()
    loop.add_reader(stdin, readable.set)
    try:
        await readable.wait()
    except asyncio.CancelledError:
        click.echo(err=True)
        raise
    finally:
        loop.remove_reader(stdin)
    return os.read(stdin, 1024).decode(errors="replace").strip().lower() in ("y", "yes")
