"""What `doctor` looks at, a module for each place where something can be wrong."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing looked at: what was found, and where it is not right, the way to mend it. `stops`: as long as it is not
    right, something cannot work; otherwise it is worth knowing."""

    name: str
    ok: bool
    found: str
    mend: str = ""
    stops: bool = True

    @property
    def failed(self) -> bool:
        return self.stops and not self.ok


def fine(name: str, found: str) -> Check:
    return Check(name, True, found)


def note(name: str, found: str, mend: str = "") -> Check:
    """Something that works, and would better."""
    return Check(name, False, found, mend, stops=False)
