"""The failures that an operator is meant to read. Pure."""


class OperatorError(Exception):
    """Something that cannot be done now: its text says what happened, to which object, and what to do.

    Whoever raises it has changed nothing.
    """

    def __init__(self, text: str, retry_after: float = 0.0) -> None:
        super().__init__(text)
        self.retry_after = retry_after
        """Seconds before which a new try is not wanted."""


class FinalError(OperatorError):
    """One that no later try in this process can mend: it has to end, and to be started anew."""
