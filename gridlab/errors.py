"""The library's own errors, one for each remedy; each is also a builtin, so that callers need not know them."""


class DataError(ValueError):
    """The data or a parameter is wrong: mend it and call again."""


class PlanError(RuntimeError):
    """The problem has no answer as stated: relax the limit that the message names."""


class RunError(RuntimeError):
    """A run failed or may not begin: the message says where it stopped, or what is in its way."""


class ServerError(ConnectionError):
    """A server did not answer as it should: try again later; the message has the call, the status and its words."""


class MissingExtraError(ImportError):
    """A package that an extra provides is not installed: the message has the command that installs it."""
