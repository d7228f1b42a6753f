"""One piece of work for R, done in a thread of its own."""

from __future__ import annotations

import ctypes
import json
import threading
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from fusionpy.bridge.calls import CALLS, Reply
from fusionpy.bridge.columns import Packed, read_frame
from fusionpy.bridge.words import in_r
from fusionpy.errors import ArchiveError, ArgumentError, FusionError, FusionWarning, OutputError, SchemaError
from fusionpy.model import FusionModel
from fusionpy.progress import heard_by

__all__ = ["Job"]

CLASSES = {
    ArgumentError: "argument",
    SchemaError: "schema",
    ArchiveError: "archive",
    OutputError: "output",
}


class Job:
    """Do what R asks for, in a thread of its own, which begins at once.

    Parameters
    ----------
    request : str
        JSON: the ``verb``, its ``arguments``, and its ``frames``, each told as `read_frame` takes it, or a
        path, or null.
    buffers : list of bytearray
        What the frames' columns are in.
    opened : Job, optional
        A finished job of verb "open", whose model is used.

    Notes
    -----
    Its methods are to be called from one thread. Of reticulate's conversions they need that of text, whole
    numbers and bytearrays only.

    Examples
    --------
    >>> job = Job('{"verb": "sample", "arguments": {"name": "donor"}, "frames": {}}', [])
    >>> while not json.loads(job.wait(1))["done"]:
    ...     pass
    >>> reply = json.loads(job.reply())
    >>> reply["status"], reply["frames"]["frame"]["rows"]
    ('done', 4000)
    """

    def __init__(self, request: str, buffers: list[bytearray], opened: Job | None = None) -> None:
        self._request: dict[str, Any] = json.loads(request)
        self._sent = buffers
        self.model: FusionModel | None = opened.model if opened is not None else None
        self._said: list[dict[str, Any]] = []
        self._warned: list[str] = []
        self._lock = threading.Lock()
        self._cancelled = self._ended = False
        self._finished = threading.Event()
        self._reply: dict[str, Any] = {"status": "interrupted"}
        self._frames: dict[str, Packed] = {}
        self._buffers: dict[int, bytearray] = {}
        self._n_buffers = 0
        self._thread = threading.Thread(target=self._run, name="fusionpy", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> str:
        """Wait for the end, no longer than some seconds; tell whether it is reached, and what was said.

        Returns
        -------
        str
            JSON: ``done``, and ``said``, which has messages (``text``) and progress (``title``, ``done``,
            ``total``, ``doing``), the last of each title only.
        """
        # Not by joining the thread: an interrupted join takes it for stopped (CPython 3.11).
        done = self._finished.wait(seconds)
        with self._lock:
            said, self._said = self._said, []
        return json.dumps({"done": done, "said": said})

    def cancel(self) -> None:
        """Ask to stop as soon as the piece in hand is done."""
        with self._lock:
            if self._cancelled or self._ended:
                return
            self._cancelled = True
            # Reaches it between two of Python's steps; threads that it has started hear of it in `follow`.
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(self._thread.ident or 0), ctypes.py_object(KeyboardInterrupt)
            )

    def reply(self) -> str:
        """Tell, in JSON, how it ended.

        Returns
        -------
        str
            ``status`` is "done", with ``value`` and ``frames``; or "interrupted"; or "failed", with ``class``
            ("argument", "schema", "archive", "output" or "internal"), ``headline``, ``problems`` and
            ``hint``. ``warnings`` in any case.
        """
        return json.dumps({**self._reply, "warnings": self._warned})

    def pack(self, frame: str, column: int) -> str:
        """Pack a column of the result, once: tell of it in JSON."""
        try:
            return json.dumps({"status": "done", **self._frames[frame].pack(column, self._put)})
        except Exception as error:
            return json.dumps(_failure(error, self._request["verb"]))

    def take(self, place: int) -> bytearray:
        """Show a buffer, to be copied and then dropped."""
        return self._buffers[place]

    def drop(self, place: int) -> None:
        """Free a buffer's memory, though R may not yet have let go of it."""
        self._buffers.pop(place).clear()

    def announce(self, message: str) -> None:
        """Keep a message until it is asked for."""
        with self._lock:
            self._said.append({"text": in_r(message, self._request["verb"])})

    def follow(self, title: str, done: int, total: int, doing: str) -> None:
        """Keep the progress until it is asked for.

        Raises
        ------
        KeyboardInterrupt
            If the work is to stop.
        """
        if self._cancelled:
            raise KeyboardInterrupt
        with self._lock:
            title = in_r(title, self._request["verb"])
            if self._said and self._said[-1].get("title") == title:
                self._said.pop()
            self._said.append({"title": title, "done": done, "total": total, "doing": doing})

    def _put(self, buffer: bytearray) -> int:
        self._buffers[self._n_buffers] = buffer
        self._n_buffers += 1
        return self._n_buffers - 1

    def _run(self) -> None:
        with suppress(KeyboardInterrupt):
            try:
                self._reply = self._work()
            except KeyboardInterrupt:
                pass
            except BaseException as error:
                self._reply = _failure(error, self._request["verb"])
            with self._lock:
                self._ended = True
        self._sent = []
        self._finished.set()

    def _work(self) -> dict[str, Any]:
        verb = self._request["verb"]
        with warnings.catch_warnings(record=True) as caught, heard_by(self):
            warnings.simplefilter("always")
            try:
                answer = self._call(verb)
            finally:
                self._warned = _texts_of(caught, verb)
        self._frames = {name: Packed(table) for name, table in answer.frames.items()}
        self.model = answer.model
        told = {name: packed.told for name, packed in self._frames.items()}
        return {"status": "done", "value": answer.value, "frames": told}

    def _call(self, verb: str) -> Reply:
        frames = {
            name: read_frame(told, self._sent) if isinstance(told, dict) else told
            for name, told in self._request["frames"].items()
        }
        self._sent = []
        return CALLS[verb](self._request["arguments"], frames, self.model)


def _texts_of(caught: Sequence[warnings.WarningMessage], verb: str) -> list[str]:
    texts = [str(each.message) for each in caught if issubclass(each.category, FusionWarning)]
    return [in_r(text, verb) for text in dict.fromkeys(texts)]


def _failure(error: BaseException, verb: str) -> dict[str, Any]:
    """Tell an error as data, in R's words."""
    if not isinstance(error, FusionError):
        where = traceback.format_exception(error)
        hint = "This is a fault of fusionpy; please report it with what follows.\n" + "".join(where)
        headline = f"Something unexpected happened: {type(error).__name__}."
        return {
            "status": "failed",
            "class": "internal",
            "headline": headline,
            "problems": [str(error)],
            "hint": hint,
        }
    return {
        "status": "failed",
        "class": next((name for kind, name in CLASSES.items() if isinstance(error, kind)), "argument"),
        "headline": in_r(error.headline, verb),
        "problems": [in_r(problem, verb) for problem in error.problems],
        "hint": None if error.hint is None else in_r(error.hint, verb),
    }
