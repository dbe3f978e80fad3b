"""The library's own errors, one for each remedy; each is also a builtin, so that callers need not know them."""


class DataError(ValueError):
    """The data or a parameter is wrong: mend it and call again."""


class PlanError(RuntimeError):
    """The problem has no answer as stated: relax the limit that the message names."""


class RunError(RuntimeError):
    """A notebook run failed: the message says in which cell, and where its log and notebook lie."""


class MissingExtraError(ImportError):
    """A package that an extra provides is not installed: the message has the command that installs it."""
