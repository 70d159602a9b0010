"""What suggestions and actions need of the session that they are in. All of it may change from request to request."""

from __future__ import annotations

from typing import Protocol

from lsp_server.context.related.gathering import Related
from lsp_server.context.workspace import Workspace
from lsp_server.model.access import ModelAccess, Reached
from lsp_server.settings import Settings


class Surroundings(Protocol):
    """The settings, the user's work, what of it goes with a suggestion, and the model as the settings name it now."""

    @property
    def settings(self) -> Settings: ...

    @property
    def workspace(self) -> Workspace: ...

    @property
    def related(self) -> Related: ...

    @property
    def model(self) -> ModelAccess: ...

    def want_model(self) -> None:
        """Begin to reach the model, where it is not there yet."""

    async def reach(self) -> Reached:
        """The model, once it is ready. Raises ModelUnavailable when it cannot be."""
