"""Structs to bytes and back: CBOR for what is signed, JSON for what a technician reads.

Decoding is bounded by size before anything else is looked at, and strict: a wrong type, a value out of its
bounds or an unknown key of a signed document is a `Refusal(MALFORMED)` that names the path.
CBOR is written in the deterministic form (RFC 8949, 4.2.1), but what is verified is always the bytes received.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import cbor2
import msgspec

from protocol.errors import LocalProtocolError, Refusal, RefusalReason
from protocol.messages import DOCUMENT_BYTES_MAX

T = TypeVar("T")

_CBOR_NATIVE: Final = (bytes,)
_CBOR_ERRORS: Final = (
    cbor2.CBORError,
    ArithmeticError,
    AttributeError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What cbor2 was seen to raise on hostile input, its tags' constructors included."""
_DEPTH_MAX: Final = 16
"""Deepest nesting of any message is 5; the bound keeps a hostile one from using the stack."""


def cbor_encode(value: Any) -> bytes:  # noqa: ANN401 - any struct or plain value is encodable
    """Encode a struct or plain value as deterministic CBOR."""
    plain = msgspec.to_builtins(value, builtin_types=_CBOR_NATIVE, str_keys=False)
    return cbor2.dumps(plain, canonical=True)


def cbor_decode(data: bytes, kind: type[T] | Any) -> T:  # noqa: ANN401 - unions are not `type`
    """Decode CBOR into `kind`.

    Raises Refusal(TOO_LARGE) above DOCUMENT_BYTES_MAX and Refusal(MALFORMED) for anything that does not fit.
    """
    plain = cbor_decode_plain(data)
    try:
        result: T = msgspec.convert(plain, kind, strict=True, builtin_types=_CBOR_NATIVE)
    except msgspec.ValidationError as error:
        raise Refusal(RefusalReason.MALFORMED, str(error)[:200]) from error
    return result


def cbor_decode_plain(data: bytes) -> Any:  # noqa: ANN401 - CBOR holds any plain value
    """Decode one item of deterministic CBOR to plain values; another form of it, or bytes after it, is refused."""
    _refuse_large(data)
    try:
        plain = cbor2.loads(data, max_depth=_DEPTH_MAX, allow_indefinite=False, allow_duplicate_keys=False)
        if cbor2.dumps(plain, canonical=True) != data:
            raise Refusal(RefusalReason.MALFORMED, "not deterministic CBOR, or bytes after its end")
    except _CBOR_ERRORS as error:
        raise Refusal(RefusalReason.MALFORMED, f"not CBOR: {error}"[:200]) from error
    return plain


def json_encode(value: Any) -> bytes:  # noqa: ANN401 - any struct is encodable
    """Encode a struct as JSON."""
    return msgspec.json.encode(value)


def json_decode(data: bytes, kind: type[T]) -> T:
    """Decode JSON into `kind`; raises Refusal as `cbor_decode` does."""
    _refuse_large(data)
    try:
        return msgspec.json.decode(data, type=kind, strict=True)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(RefusalReason.MALFORMED, str(error)[:200]) from error


def require_sendable(data: bytes) -> bytes:
    """Return `data` if it may be sent; raises LocalProtocolError above the size bound."""
    if len(data) > DOCUMENT_BYTES_MAX:
        message = f"a message of {len(data)} bytes exceeds the bound of {DOCUMENT_BYTES_MAX}"
        raise LocalProtocolError(message)
    return data


def _refuse_large(data: bytes) -> None:
    if len(data) > DOCUMENT_BYTES_MAX:
        raise Refusal(RefusalReason.TOO_LARGE, f"{len(data)} bytes; at most {DOCUMENT_BYTES_MAX}")
