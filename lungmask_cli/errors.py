"""The errors a user can cause. Nothing else is raised for a user's mistake."""


class LungmaskError(Exception):
    """A mistake the user can mend.

    Args:
        message: what is wrong, and with which file, in one line.
        hint: what to do about it, in one line; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(LungmaskError):
    """The command cannot start as it was asked to, or there is nothing to do."""


class ConfigError(UsageError):
    """A configuration key or value is wrong."""


class ImageError(LungmaskError):
    """One radiograph or mask cannot be used; the others are not affected."""
