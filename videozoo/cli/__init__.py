"""The command line: one command, `videozoo`, one file a verb."""
