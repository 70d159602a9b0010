"""Counters in Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4)."""

from __future__ import annotations

import time
from collections.abc import Mapping

import psutil

from lsp_server.engine.generating.request import FIRST_SECONDS
from lsp_server.engine.serving.state import EngineState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render(state: EngineState) -> str:
    """All metrics of the engine. Sums are over requests that have ended."""
    lines: list[str] = []

    def add(name: str, kind: str, about: str, values: float | Mapping[str, float]) -> None:
        """One metric; a mapping goes from what follows the name (a suffix or labels) to the value."""
        lines.extend([f"# HELP engine_{name} {about}", f"# TYPE engine_{name} {kind}"])
        samples = values if isinstance(values, Mapping) else {"": values}
        lines.extend(f"engine_{name}{suffix} {value}" for suffix, value in samples.items())

    add("uptime_seconds", "gauge", "Time since the engine was started.", round(time.monotonic() - state.started, 3))
    add("resident_memory_bytes", "gauge", "Memory of the engine's process.", psutil.Process().memory_info().rss)
    add("ready", "gauge", "1 if the model is loaded and serves.", int(state.health()["status"] == "ready"))
    if state.scheduler is not None:
        scheduler, totals = state.scheduler, state.scheduler.totals
        outcomes = ("stop", "length", "cancelled", "error", "refused")
        requests = {f'{{outcome="{outcome}"}}': totals.requests[outcome] for outcome in outcomes}
        add("requests_total", "counter", "Requests by how they ended.", requests)
        add("prompt_tokens_total", "counter", "Tokens of prompts.", totals.prompt_tokens)
        add("cached_tokens_total", "counter", "Tokens of prompts that were not computed again.", totals.cached_tokens)
        add("prefilled_tokens_total", "counter", "Tokens of prompts that were computed.", totals.prefilled_tokens)
        add("generated_tokens_total", "counter", "Tokens generated.", totals.generated_tokens)
        add("forward_passes_total", "counter", "Passes through the model.", totals.forward_passes)
        add("guessed_tokens_total", "counter", "Tokens guessed at beside those.", totals.guessed_tokens)
        add("right_guesses_total", "counter", "Guesses that were right, each a pass saved.", totals.right_guesses)
        first_token = {f'_bucket{{le="{each}"}}': totals.first_within[each] for each in FIRST_SECONDS}
        first_token['_bucket{le="+Inf"}'] = first_token["_count"] = totals.first_tokens
        sums = {"_sum": round(totals.first_token_seconds, 6)}
        add("time_to_first_token_seconds", "histogram", "From request to first token.", {**first_token, **sums})
        add("queued_requests", "gauge", "Requests that have not ended.", scheduler.queued)
        add("kv_tokens", "gauge", "Tokens whose keys and values are in memory.", scheduler.kv_tokens)
        add("kv_budget_tokens", "gauge", "Most tokens whose keys and values may be.", scheduler.kv_budget_tokens)
    return "\n".join(lines) + "\n"
