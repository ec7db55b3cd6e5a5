"""What can keep the bed from coming up, in one sentence with a remedy."""


class BedError(Exception):
    """The bed cannot do what was asked; `remedy` is a command or a change to make."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
