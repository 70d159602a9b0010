"""Answers of servers of others that are at fault in the middle of things, as they are sent."""

from __future__ import annotations

import json

TEXT = '{"choices": [{"text": "one two"}]}'
END = '{"choices": [{"text": "", "finish_reason": "stop"}]}'


def events(*bodies: str) -> str:
    return "".join(f"data: {body}\n\n" for body in bodies)


# (what is sent, what is kept of it, of the sentence; "" where there is an answer)
ANSWERS = {
    "half an event": (events(TEXT) + 'data: {"choices": [{"te', "one two", "broke off.*ask again"),
    "no finish reason": (events(TEXT), "one two", "broke off.*ask again"),
    "an error that is a text": (events('{"error": "overloaded"}'), "", "overloaded"),
    "an error in the middle": (events(TEXT, '{"error": {"message": "out of memory"}}'), "one two", "out of memory"),
    "choices: [null]": (events('{"choices": [null]}', TEXT, END), "one two", ""),
    "token ids of nobody": (events('{"choices": [{"token_ids": [99999999]}]}', END), "", "codellama.tokenizer"),
    "token ids of nobody, and text": (
        events('{"choices": [{"text": "one two", "token_ids": [-5, 99999999]}]}', END),
        "one two",
        "",
    ),
    "counts that are none": (
        events('{"choices": [{"text": "one two"}], "usage": {"completion_tokens": {"a": 1}}}', END),
        "one two",
        "",
    ),
    "a count without end": (
        events('{"choices": [{"text": "one two"}], "usage": {"completion_tokens": 1e999}}', END),
        "one two",
        "",
    ),
    "half a character": (events('{"choices": [{"text": "one \\ud800two"}]}', END), "one \ufffdtwo", ""),
    "not streamed": (json.dumps({"choices": [{"text": "one two", "finish_reason": "stop"}]}), "one two", ""),
    "a web page": ("<!doctype html>\n<html></html>", "", "web page; check codellama.engineUrl"),
    "bytes": ("\x00\x01\x02\n\x07", "", "no text; check codellama.engineUrl"),
    "nothing": ("", "", "broke off.*ask again"),
}
