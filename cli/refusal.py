"""Why the API did not do it, and what to try."""

import msgspec

from cli.outcome import Exit, Stop

_TRY: dict[int | str, str] = {
    401: "name the file of the daemon's token with --token-file, or run peat as the daemon's user",
    404: "`peat docs list` shows what is there",
    412: "someone changed it: `peat docs get --etag` tells what it is now, and its version",
    503: "`peat ready` tells which part is not ready; try again soon",
    "rotation_refused": "`peat secret status` shows who accepts what",
    "secret_fixed": "take the same steps where it comes from; `peat secret status` shows how far all are",
    "barred": "the other documents are well; `peat docs delete` it and write it anew, or run another `--engine`",
    504: "it stays made; wait longer with --timeout, or for less with --ack",
}
"""What to try, in this program's words, by status or by the error's code; for any other the API's hint will do."""


class _Fault(msgspec.Struct):
    message: str
    code: str = ""
    hint: str | None = None


class _Error(msgspec.Struct):
    error: _Fault
    reached: str | None = None


def refusal(status: int, body: bytes) -> Stop:
    """Why the API did not do it. 4xx is a rule that it keeps; all else is its failure."""
    try:
        found = msgspec.json.decode(body, type=_Error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Stop(
            Exit.API_FAILED,
            f"status {status} without a reason is no answer of peatd's; name the daemon's API with --api",
        )
    refused = 400 <= status < 500
    message = found.error.message.rstrip(".")
    if found.reached is not None:
        message += f" (reached: {found.reached})"
    hint = _TRY.get(found.error.code) or _TRY.get(status) or found.error.hint or _last_resort(refused=refused)
    return Stop(Exit.NO if refused else Exit.API_FAILED, f"{message}; {hint}")


def _last_resort(*, refused: bool) -> str:
    return "`peat --help` shows the usage" if refused else "try again later, and look at the daemon's log"
