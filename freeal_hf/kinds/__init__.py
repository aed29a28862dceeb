"""The kinds of task, each with its own `TaskKind`."""
