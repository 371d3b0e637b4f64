"""What each command does; its options and help are in `tasks/`."""
