"""What the user is told when something cannot be done, and what is a fault instead."""

from __future__ import annotations

import re


class UserError(Exception):
    """Something cannot be done, and the user can understand why: the message is one sentence for them, which says what
    is wrong and, where there is a way, how to mend it.

    Every error that this program raises for its users derives from it. Any other exception that gets as far as a
    request or a command is a fault, of this program or of a library: it keeps its traceback in the log.
    """


def reason(error: Exception) -> str:
    """Why a connection failed, in a few words for a sentence: the system's without their number, or those that the kind
    of the error is named by."""
    said = re.sub(r"\[(?:Errno|WinError|SSL)[^]]*\] *", "", str(error)).strip().partition("\n")[0].rstrip(".")
    words = said or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__)
    return words[:1].lower() + words[1:]
