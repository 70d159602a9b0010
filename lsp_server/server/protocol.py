"""The library's protocol, so that every request is answered: with a result, or with an error that has its code.

What comes is checked here, step by step: is it JSON, is it a message, is it its time, are its parameters what the
method takes. Positions outside of any text are moved to where the protocol lets them be, for a tool that
counts wrongly must not take the others' requests away; parameters of this program's own methods stay plain JSON.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import traceback
import uuid
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from typing import Any
from urllib.parse import urlsplit

import attrs
from lsprotocol import types
from pygls.exceptions import (
    JsonRpcException,
    JsonRpcInternalError,
    JsonRpcInvalidParams,
    JsonRpcInvalidRequest,
    JsonRpcParseError,
    JsonRpcServerNotInitialized,
)
from pygls.protocol import (
    JsonRPCNotification,
    JsonRPCRequestMessage,
    JsonRPCResponseMessage,
    LanguageServerProtocol,
    lsp_method,
)

from lsp_server.errors import UserError
from lsp_server.server import announced, shapes
from lsp_server.server.editor import InvalidParameters

log = logging.getLogger(__name__)

# LSP's RequestFailed: all was right with the request, but it could not be done.
REQUEST_FAILED = -32803
SEVERITIES = (1, 2, 3, 4)
# What these have to say is their name, whatever an editor sends along.
WITHOUT_PARAMETERS: dict[str, Any] = {types.INITIALIZED: {}, types.SHUTDOWN: None, types.EXIT: None}


class Protocol(LanguageServerProtocol):
    """One session: not begun, under way, shut down."""

    def __init__(self, server: Any, converter: Any) -> None:
        super().__init__(server, converter)
        self.on_initialize: Callable[[int | None], None] = lambda process: None
        """Told of the editor's process once the session begins."""
        self._begun = self._initialized = False
        self._awaited: dict[str | int, tuple[Future[Any], Any]] = {}  # answers of the editor's, and what they are

    def has_begun(self) -> bool:
        """Whether the editor has opened the session, and said which process it is."""
        return self._begun

    @lsp_method(types.INITIALIZE)
    def lsp_initialize(self, params: types.InitializeParams) -> Generator[Any, Any, types.InitializeResult]:
        if not _is_uri(params.root_uri):
            params.root_uri = None
        result = yield from super().lsp_initialize(params)
        result.capabilities.experimental = announced.experimental()
        self._begun = True
        self.on_initialize(params.process_id)
        return result

    @lsp_method(types.SHUTDOWN)
    def lsp_shutdown(self, *args: Any) -> Generator[Any, Any, None]:
        """The library's own looks through the requests while those that it cancels are taken out."""
        self._shutdown = True
        for number, future in list(self._request_futures.items()):
            if number != self.msg_id:
                future.cancel()
        if (handler := self.fm.features.get(types.SHUTDOWN)) is not None:
            yield handler, args, None

    async def end(self, seconds: float) -> None:
        """Cancel the requests that run, and let them end: they may have something to keep."""
        requests: list[Any] = list(self._request_futures.values())
        for future in requests:
            future.cancel()
        running = [future for future in requests if isinstance(future, asyncio.Future)]
        if running:
            await asyncio.wait(running, timeout=seconds)

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: types.DidChangeTextDocumentParams) -> Generator[Any, Any, None]:
        """A change of a document that is not open, or not any more, changes nothing."""
        if self.workspace.get_text_document(params.text_document.uri).version is None:
            raise JsonRpcInvalidParams("The document is not open.")
        yield from super().lsp_text_document__did_change(params)

    @lsp_method(types.NOTEBOOK_DOCUMENT_DID_CHANGE)
    def lsp_notebook_document__did_change(
        self, params: types.DidChangeNotebookDocumentParams
    ) -> Generator[Any, Any, None]:
        """A change of a notebook, or of a cell, that is not open changes nothing."""
        if self.workspace.get_notebook_document(notebook_uri=params.notebook_document.uri) is None:
            raise JsonRpcInvalidParams("The notebook is not open.")
        cells = params.change.cells
        added = cells.structure.did_open or [] if cells and cells.structure else []
        new = {document.uri for document in added}
        for text in (cells.text_content or []) if cells else []:
            if text.document.uri not in new and self.workspace.get_text_document(text.document.uri).version is None:
                raise JsonRpcInvalidParams("The cell is not open.")
        yield from super().lsp_notebook_document__did_change(params)

    def receive(self, body: bytes) -> None:
        """Handle one message, whatever it is."""
        try:
            message = shapes.message_in(body)
        except (ValueError, RecursionError) as error:
            self.refuse_message(f"The message is not valid JSON ({type(error).__name__}).")
            return
        if not isinstance(message, dict):
            self._refuse(None, JsonRpcInvalidRequest("A message must be one JSON object."))
        elif "method" in message:
            self._asked(message)
        elif "id" in message:
            self._answered(message)
        else:
            self._refuse(None, JsonRpcInvalidRequest("The message has neither a method nor an id."))

    def refuse_message(self, sentence: str) -> None:
        """Say that a message could not be read: whose it was, and whether it wanted an answer, is not known."""
        self._refuse(None, JsonRpcParseError(sentence))

    def _asked(self, message: dict[str, Any]) -> None:
        """A request, or a notification, which has no id and gets no answer."""
        is_request, number, method = "id" in message, message.get("id"), message["method"]
        if isinstance(number, float) and number.is_integer():
            number = message["id"] = int(number)  # as some write a whole number
        try:
            if is_request and (isinstance(number, bool) or not isinstance(number, (int, str))):
                number = None
                raise JsonRpcInvalidRequest("The id of a request must be a text or a whole number.")
            if message.get("jsonrpc") != self.VERSION:
                raise JsonRpcInvalidRequest('A message must have "jsonrpc": "2.0".')
            if not isinstance(method, str):
                raise JsonRpcInvalidRequest("The method of a message must be a text.")
            self._check_time(method)
            if is_request:
                self._get_handler(method)  # an unknown one is refused, however its parameters look
                if number in self._request_futures:
                    raise JsonRpcInvalidRequest("An earlier request of that id is not answered yet.")
            structured = self._structured(message, method)
        except JsonRpcException as error:
            if is_request:
                self._refuse(number, error)
            else:
                self._passed_over(message, error)
            return
        context = contextvars.copy_context()
        if number is not None:
            context.run(self._handle_request, number, method, structured.params)
        else:
            context.run(self._handle_notification, method, structured.params)

    def _check_time(self, method: str) -> None:
        """Raises JsonRpcException where a message comes before the session begins, twice, or after its end."""
        if method == types.EXIT:
            return
        if self._shutdown:
            raise JsonRpcInvalidRequest("The session is shut down.")
        if (method == types.INITIALIZE) is self._begun:
            if self._begun:
                raise JsonRpcInvalidRequest("The session is initialized already.")
            raise JsonRpcServerNotInitialized("The session is not initialized yet.")
        if method == types.INITIALIZED:
            if self._initialized:
                raise JsonRpcInvalidRequest("The session is initialized already.")
            self._initialized = True

    def _structured(self, message: dict[str, Any], method: str) -> Any:
        """The message with its parameters as the method's type. Raises JsonRpcInvalidParams."""
        if method in WITHOUT_PARAMETERS:
            message["params"] = WITHOUT_PARAMETERS[method]
        if "params" in message:
            try:
                shapes.move_inside(message["params"])
            except ValueError as error:
                raise JsonRpcInvalidParams(f"The parameters of {method} are {error}.") from None
            if method == types.TEXT_DOCUMENT_CODE_ACTION:
                self._keep_sound_diagnostics(message["params"])
            elif method == types.TEXT_DOCUMENT_DID_CHANGE:
                self._count_version(message["params"])
        kind = self.get_message_type(method) or (JsonRPCRequestMessage if "id" in message else JsonRPCNotification)
        try:
            if "params" in {field.name for field in attrs.fields(kind)}:
                message = {"params": None, **message}
            try:
                return self._converter.structure(message, kind)
            except Exception:
                if method != types.INITIALIZE:
                    raise
                return shapes.lenient().structure(message, kind)  # no session at all would be worse
        except Exception as error:  # the converter raises all kinds of errors for what does not fit
            raise JsonRpcInvalidParams(f"The parameters do not fit {method}: {shapes.why(error)}.") from None

    def _count_version(self, params: Any) -> None:
        """Editors need not say a document's version before LSP 3.16: there each change makes a new one."""
        document = params.get("textDocument") if isinstance(params, dict) else None
        if isinstance(document, dict) and document.get("version") is None and isinstance(document.get("uri"), str):
            opened = self.workspace.text_documents.get(document["uri"])
            document["version"] = (opened.version or 0) + 1 if opened is not None else 0

    def _keep_sound_diagnostics(self, params: Any) -> None:
        """Leave out of a context what is no diagnostic: one of another tool must not take all actions away."""
        context = params.get("context") if isinstance(params, dict) else None
        if not isinstance(context, dict) or not isinstance(found := context.get("diagnostics"), list):
            return
        sound = (self._sound_diagnostic(each) for each in found if isinstance(each, dict))
        context["diagnostics"] = [each for each in sound if each is not None]

    def _sound_diagnostic(self, given: dict[str, Any]) -> dict[str, Any] | None:
        """A diagnostic as it was sent, or what can be understood of it; None where that is too little."""
        if given.get("severity") not in SEVERITIES:
            given.pop("severity", None)
        message = given.get("message")
        if isinstance(message, dict):  # Markdown, in newer versions of the protocol
            given["message"] = message.get("value")
        for names in (given.keys(), ("range", "message", "severity")):
            kept = {name: given[name] for name in names if name in given}
            try:
                self._converter.structure(kept, types.Diagnostic)
            except Exception:
                continue
            return kept
        return None

    def send_request(
        self,
        method: str,
        params: Any | None = None,
        callback: Callable[[Any], None] | None = None,
        msg_id: str | int | None = None,
    ) -> Future[Any]:
        """Ask the editor. Its answer is kept apart from the answers to it: the editor chooses the ids of those."""
        number = str(uuid.uuid4()) if msg_id is None else msg_id
        future: Future[Any] = super().send_request(method, params, callback, number)
        self._awaited[number] = self._request_futures.pop(number), self._result_types.pop(number, None)
        future.add_done_callback(lambda done: self._awaited.pop(number, None))
        return future

    def _answered(self, message: dict[str, Any]) -> None:
        """An answer of the editor's. One that cannot be understood is a failed one: somebody waits for it."""
        number = message.get("id")
        if not isinstance(number, (int, str)) or number not in self._awaited:
            log.info("The editor answered a request that is not waited for.")
            return
        future, kind = self._awaited.pop(number)
        kind = kind or JsonRPCResponseMessage
        try:
            if message.get("error") is not None:
                error = self._converter.structure(message["error"], types.ResponseError)
                future.set_exception(JsonRpcException.from_error(error))
            else:
                sound = {"jsonrpc": self.VERSION, "id": number, "result": message.get("result")}
                future.set_result(self._converter.structure(sound, kind).result)
        except Exception as error:
            future.set_exception(
                JsonRpcInternalError(f"The editor's answer cannot be understood: {shapes.why(error)}.")
            )

    def _passed_over(self, message: Mapping[str, Any], error: JsonRpcException) -> None:
        """A notification that is not heeded. After a change that cannot be understood the text of its document is not
        known any more: it counts as closed."""
        method, params = message["method"], message.get("params")
        log.warning("A notification %.80r is passed over: %s", method, error)
        if method == types.NOTEBOOK_DOCUMENT_DID_CHANGE and self._begun:
            self._close_notebook(params)
        if method not in (types.TEXT_DOCUMENT_DID_CHANGE, types.TEXT_DOCUMENT_DID_OPEN) or not self._begun:
            return
        document = params.get("textDocument") if isinstance(params, dict) else None
        uri = document.get("uri") if isinstance(document, dict) else None
        if isinstance(uri, str) and self.workspace.get_text_document(uri).version is not None:
            closed = types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(uri))
            self._handle_notification(types.TEXT_DOCUMENT_DID_CLOSE, closed)

    def _close_notebook(self, params: Any) -> None:
        """The text of a notebook is not known any more: it counts as closed."""
        named = params.get("notebookDocument") if isinstance(params, dict) else None
        uri = named.get("uri") if isinstance(named, dict) else None
        notebook = self.workspace.get_notebook_document(notebook_uri=uri) if isinstance(uri, str) else None
        if notebook is not None:
            cells = [types.TextDocumentIdentifier(cell.document) for cell in notebook.cells]
            closed = types.DidCloseNotebookDocumentParams(types.NotebookDocumentIdentifier(notebook.uri), cells)
            self._handle_notification(types.NOTEBOOK_DOCUMENT_DID_CLOSE, closed)

    def _execute_handler(self, msg_id: Any, handler: Any, callback: Any, args: Any = None, kwargs: Any = None) -> None:
        """The library keeps what runs for ever, but for requests."""
        try:
            super()._execute_handler(msg_id, handler, callback, args, kwargs)
        except SystemExit:
            self._request_futures.pop(msg_id, None)
            raise
        future = self._request_futures.get(msg_id)
        if future is not None:
            future.add_done_callback(lambda done: self._forget(msg_id, done))

    def _forget(self, number: Any, future: Any) -> None:
        if self._request_futures.get(number) is future:
            del self._request_futures[number]

    def _run_generator(self, future: Any, *, gen: Generator[Any, Any, Any], result_future: Future[Any]) -> None:
        """What a handler hands on to another ends with it, also where that is cancelled, which the library forgets."""
        if future is not None and future.cancelled():
            gen.close()
            result_future.cancel()
            return
        super()._run_generator(future, gen=gen, result_future=result_future)

    def _handle_cancel_notification(self, msg_id: Any) -> None:
        future = self._request_futures.get(msg_id)  # it stays until its answer is sent
        if future is not None:
            future.cancel()

    def _send_handler_result(self, future: Any, *, msg_id: Any) -> None:
        """Answer a request with what its handler came to. What is written for the user is told; a fault keeps its
        traceback in the log, and the editor gets its name."""
        self._request_futures.pop(msg_id, None)
        if future.cancelled():
            self._refuse(msg_id, JsonRpcException("The request was cancelled.", -32800))
            return
        error = future.exception()
        if error is None:
            self._send_response(msg_id, future.result())
        elif isinstance(error, JsonRpcException):
            self._refuse(msg_id, error)
        elif isinstance(error, InvalidParameters):
            self._refuse(msg_id, JsonRpcInvalidParams(str(error)))
        elif isinstance(error, UserError):
            self._refuse(msg_id, JsonRpcException(str(error), REQUEST_FAILED))
        else:
            _log_fault(error)
            name = type(error).__name__
            self._refuse(msg_id, JsonRpcInternalError(f"A fault of this program ({name}); its log says more."))

    def _check_handler_result(self, future: Any) -> None:
        if future.cancelled() or (error := future.exception()) is None:
            return
        if isinstance(error, (JsonRpcException, UserError)):  # which a request would be answered with
            log.info("A notification could not be heeded (%s).", type(error).__name__)
        else:
            _log_fault(error)

    def _send_data(self, data: Any) -> None:
        """Write one message. A result that cannot be written as JSON is answered with an error instead."""
        try:
            body = json.dumps(data, default=self._serialize_message).encode()
        except (ValueError, TypeError, RecursionError, AttributeError) as error:
            _log_fault(error)
            if isinstance(data, types.ResponseErrorMessage) or getattr(data, "id", None) is None:
                return
            self._refuse(data.id, JsonRpcInternalError("The result cannot be written as JSON."))
            return
        if self.writer is not None:
            self.writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

    def _refuse(self, number: Any, error: JsonRpcException) -> None:
        if number is None:  # which the library's own type does not allow
            problem = {"code": error.code, "message": error.message}
            self._send_data({"jsonrpc": self.VERSION, "id": None, "error": problem})
        else:
            self._send_response(number, error=error.to_response_error())


def _log_fault(error: BaseException) -> None:
    """Where it happened, without the error's own words, which may hold the user's text."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    log.error("A fault: %s\n%s", type(error).__name__, frames)


def _is_uri(text: str | None) -> bool:
    """Whether the library can read it."""
    try:
        urlsplit(text or "")
    except ValueError:
        return False
    return True
