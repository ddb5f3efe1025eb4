"""The failure that an operator is meant to read. Pure."""


class OperatorError(Exception):
    """Something that cannot be done now: its text says what happened, to which object, and what to do.

    Whoever raises it has changed nothing.
    """
