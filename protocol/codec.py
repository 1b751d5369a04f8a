"""Structs to bytes and back: CBOR for what is signed, JSON for what a technician reads.

Decoding is bounded by size before anything else is looked at, and strict: a wrong type, a value out of its
bounds or an unknown key of a signed document is a `Refusal(MALFORMED)` that names the path.

CBOR is written in the deterministic form (RFC 8949, 4.2.1), but what is verified is always the bytes received.
Only the small part of CBOR that the agreement uses is let through to the library: a scan of the heads refuses
every other tag (dates, patterns, big numbers, shared references and what libraries make of them cost time and
memory that the size bound does not bound), indefinite lengths, and map keys that are not short.
"""

from __future__ import annotations

from types import UnionType
from typing import Any, Final, TypeVar, overload

import cbor2
import msgspec

from protocol.errors import LocalProtocolError, Refusal, RefusalReason
from protocol.messages import DOCUMENT_BYTES_MAX

T = TypeVar("T")

TAG_SIGN1: Final = 18
TAG_SIGN: Final = 98
TAGS_ALLOWED: Final = frozenset({TAG_SIGN1, TAG_SIGN})
"""The two forms of COSE that are used (RFC 9052, 2); allowed around a whole message only."""
DEPTH_MAX: Final = 16
"""Deepest nesting of any message is 5; the bound keeps a hostile one from using the stack."""
KEY_BYTES_MAX: Final = 64
"""Longest map key; a schema's field names are far shorter."""

_CBOR_NATIVE: Final = (bytes,)
_CBOR_ERRORS: Final = (cbor2.CBORError, ArithmeticError, AttributeError, MemoryError, TypeError, ValueError)
"""What cbor2 may raise on input that passed the scan: mostly text that is not UTF-8."""
_ARGUMENT_BYTES: Final = {24: 1, 25: 2, 26: 4, 27: 8}
_ARGUMENT_FOLLOWS: Final = min(_ARGUMENT_BYTES)
"""Below it the head's lowest five bits are the argument themselves."""
_UINT, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_SIMPLE_ALLOWED: Final = frozenset({20, 21, 22, 25, 26, 27})
"""False, true, null and the three sizes of floating-point numbers (RFC 8949, 3.3)."""


def cbor_encode(value: Any) -> bytes:  # noqa: ANN401 - any struct or plain value is encodable
    """Encode a struct or plain value as deterministic CBOR."""
    plain = msgspec.to_builtins(value, builtin_types=_CBOR_NATIVE, str_keys=False)
    return cbor2.dumps(plain, canonical=True)


def cbor_encode_checked(value: msgspec.Struct) -> bytes:
    """Encode a struct that a peer will have to take; raises LocalProtocolError if its own schema refuses it."""
    plain = msgspec.to_builtins(value, builtin_types=_CBOR_NATIVE, str_keys=False)
    try:
        msgspec.convert(plain, type(value), strict=True, builtin_types=_CBOR_NATIVE)
    except msgspec.ValidationError as error:
        raise LocalProtocolError(f"this {type(value).__name__} cannot be sent: {error}") from error
    return cbor2.dumps(plain, canonical=True)


@overload
def cbor_decode(data: bytes, kind: type[T]) -> T: ...


@overload
def cbor_decode(data: bytes, kind: UnionType) -> Any: ...  # noqa: ANN401 - a union's value has no name for mypy


def cbor_decode(data: bytes, kind: Any) -> Any:
    """Decode CBOR into `kind`.

    Raises Refusal(TOO_LARGE) above DOCUMENT_BYTES_MAX and Refusal(MALFORMED) for anything that does not fit.
    """
    plain = cbor_decode_plain(data)
    try:
        return msgspec.convert(plain, kind, strict=True, builtin_types=_CBOR_NATIVE)
    except msgspec.ValidationError as error:
        raise Refusal(RefusalReason.MALFORMED, str(error)[:200]) from error


def cbor_decode_large(data: bytes, kind: type[T], *, bytes_max: int) -> T:
    """As `cbor_decode`, for what is no message and so has a size bound of its own."""
    plain = cbor_decode_plain(data, bytes_max=bytes_max)
    try:
        return msgspec.convert(plain, kind, strict=True, builtin_types=_CBOR_NATIVE)
    except msgspec.ValidationError as error:
        raise Refusal(RefusalReason.MALFORMED, str(error)[:200]) from error


def cbor_decode_own(data: bytes, kind: type[T]) -> T:
    """Decode what this side has encoded and kept itself: its form is not judged again, only its fields."""
    return msgspec.convert(cbor2.loads(data), kind, strict=True, builtin_types=_CBOR_NATIVE)


def cbor_decode_plain(data: bytes, *, bytes_max: int = DOCUMENT_BYTES_MAX) -> Any:  # noqa: ANN401 - any plain value
    """Decode one item of deterministic CBOR to plain values; another form of it, or bytes after it, is refused."""
    _refuse_large(data, bytes_max)
    try:
        _refuse_unusual(data)
        plain = cbor2.loads(data, max_depth=DEPTH_MAX, allow_indefinite=False, allow_duplicate_keys=False)
        if cbor2.dumps(plain, canonical=True) != data:
            raise Refusal(RefusalReason.MALFORMED, "not deterministic CBOR")
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
        raise LocalProtocolError(f"a message of {len(data)} bytes exceeds the bound of {DOCUMENT_BYTES_MAX}")
    return data


def _refuse_large(data: bytes, bytes_max: int = DOCUMENT_BYTES_MAX) -> None:
    if len(data) > bytes_max:
        raise Refusal(RefusalReason.TOO_LARGE, f"{len(data)} bytes; at most {bytes_max}")


def _refuse_unusual(data: bytes) -> None:  # noqa: C901, PLR0912 - one loop without calls is twice as fast
    """Walk over the heads of one CBOR item; raises Refusal(MALFORMED) for what no message of ours holds.

    This is run on every message by every node, and so is written for speed: most heads are of the kind that says
    all in one byte, and these are stepped over by a table.
    """
    size = len(data)
    remaining, is_map = 1, False  # of the innermost open container: items still to come, and whether it is a map
    outer: list[tuple[int, bool]] = []
    position = 0
    while True:
        if remaining == 0:
            if not outer:
                break
            remaining, is_map = outer.pop()
            continue
        is_key = is_map and remaining % 2 == 0
        remaining -= 1
        if position >= size:
            raise _malformed("shorter than it says")
        start, head = position, data[position]
        step = _KEY_STEPS[head] if is_key else _STEPS[head]
        if step:
            position += step
        else:
            major, argument, position = head >> 5, head & 0x1F, position + 1
            if argument >= _ARGUMENT_FOLLOWS or major == _SIMPLE:
                argument, position = _read_argument(data, major, argument, position)
            if is_key and not _may_be_key(major, argument):
                raise _malformed("a map key that is neither a short text nor a small number")
            if major in (_BYTES, _TEXT):
                position += argument
            elif major in (_ARRAY, _MAP):
                outer.append((remaining, is_map))
                remaining, is_map = argument * (2 if major == _MAP else 1), major == _MAP
            elif major == _TAG:
                if start != 0 or argument not in TAGS_ALLOWED:
                    raise _malformed(f"tag {argument} is not used here")
                outer.append((remaining, is_map))
                remaining, is_map = 1, False
        if len(outer) >= DEPTH_MAX or position > size:
            raise _malformed("nested too deeply, or shorter than it says")
    if position != size:
        raise _malformed(f"{size - position} bytes after its end")


def _read_argument(data: bytes, major: int, info: int, position: int) -> tuple[int, int]:
    """The argument of a head whose lowest five bits are `info` (RFC 8949, 3), and where what follows it begins."""
    if major == _SIMPLE and info not in _SIMPLE_ALLOWED:
        raise _malformed("a simple value that is not used here")
    if info < _ARGUMENT_FOLLOWS:
        return info, position
    if info not in _ARGUMENT_BYTES:
        raise _malformed("an indefinite or reserved length")
    end = position + _ARGUMENT_BYTES[info]
    return int.from_bytes(data[position:end], "big"), end


def _may_be_key(major: int, argument: int) -> bool:
    return (major == _TEXT and argument <= KEY_BYTES_MAX) or (major == _UINT and argument < _ARGUMENT_FOLLOWS)


def _step_of(head: int) -> int:
    """How far to go from a head that says all in one byte to the next; 0 for one that must be looked at."""
    major, argument = head >> 5, head & 0x1F
    if argument >= _ARGUMENT_FOLLOWS or (major == _SIMPLE and argument not in _SIMPLE_ALLOWED):
        return 0
    if major in (_BYTES, _TEXT):
        return 1 + argument
    return 1 if major in (_UINT, _NEGATIVE, _SIMPLE) else 0


def _malformed(detail: str) -> Refusal:
    return Refusal(RefusalReason.MALFORMED, f"not CBOR of ours: {detail}")


_STEPS: Final = bytes(_step_of(head) for head in range(256))
_KEY_STEPS: Final = bytes(_STEPS[head] if head >> 5 in (_TEXT, _UINT) else 0 for head in range(256))
"""The same where a map's key is expected."""
