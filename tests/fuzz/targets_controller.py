"""Targets of the controller and of the simulator: requests, sealed keys, the signer's frames, API bodies, texts."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import yaml
from aiohttp import web

from controller.adapters.enrolment_request import claim_of, read_request
from controller.configuration.parsing import parse_config
from controller.enrolment.office import ApproveRequest, ClaimRequest
from controller.errors import ConfigError, KeyFileError, RequestError, SigningError
from controller.keys.draft import draft_text, parse_draft
from controller.keys.passphrase import checked
from controller.keys.sealed_key import parse_sealed_key, seal_key
from controller.keys.signer_config import parse_signer_config
from controller.keys.signer_frames import (
    SigningAnswer,
    SigningRequest,
    answer_frame,
    parse_answer,
    parse_request,
    request_frame,
)
from controller.keys.signing_policy import SigningPolicy
from controller.requests import EndSilence, RaiseEmergency, StartRelay, StartSilence
from controller.web import api, enrolment_api
from controller.web.api import AllClearBody
from edge.adapters.enrolment_keys import make_request, new_report_key, new_tls_key
from protocol.envelope import Signer, seal
from protocol.errors import Refusal
from protocol.keyring import open_keyset
from simulator.runs.scenario import ScenarioError, parse_scenario
from tests.fuzz.target import Target
from tests.fuzz.targets_protocol import ISSUER, KEYSETS, NOW_MS, ORDERS, documents
from tests.support.ceremony import CHEAP, phrase_of
from tests.support.controller_desk import plain_config
from tests.support.issuer import COMMUNE, VILLAGE, key_of
from tests.support.pki import make_pki

SCENARIOS = Path(__file__).parent.parent.parent / "simulator" / "scenarios"
BODIES = (AllClearBody, EndSilence, RaiseEmergency, StartRelay, StartSilence)
ENROLMENT_BODIES = (ApproveRequest, ClaimRequest)
_HEAD_BYTES = 4


class _Request:
    """As much of a request as a body's reader uses."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self) -> bytes:
        return self._data


def _body(read: Callable[..., Any], kinds: Sequence[type[Any]], data: bytes) -> object:
    found = []
    for kind in kinds:
        reading = read(cast("web.Request", _Request(data)), kind)
        try:
            reading.send(None)
        except StopIteration as done:
            found.append(done.value)
        except RequestError:
            continue
    return found


@cache
def _unit() -> tuple[bytes, str]:
    request = make_request(
        tls_key_pem=new_tls_key(), report_key_pem=new_report_key(), node="N001", hardware="10000000aaaa0001"
    )
    return request.body, request.proof


def _requests() -> Sequence[bytes]:
    """A unit's request as it travels and as it is, and one with a version that does not exist."""
    body = _unit()[0]
    der = base64.b64decode(body)
    return [body, der, der.replace(b"\x02\x01\x00", b"\x02\x01\x10", 1)]


def _enrol(data: bytes) -> object:
    """A request as base64 text, and any bytes as the DER that the text would carry."""
    proof = _unit()[1]
    found: list[object] = []
    for body in (data, base64.b64encode(data)):
        with suppress(RequestError):
            found.append(read_request(body, proof=proof, claim="", address="192.0.2.1"))
    with suppress(RequestError):
        found.append(claim_of(data.decode("latin-1")))
    return found


def _policy(data: bytes) -> object:
    known = {"operations-1": ISSUER.operational("operations-1")}
    return SigningPolicy(known, areas={VILLAGE: COMMUNE}, emergencies_per_hour=3).judge("operations-1", data, NOW_MS)


def _asked() -> Sequence[bytes]:
    """What the signer is given for each kind of document."""
    asked: list[bytes] = []

    def catch(data: bytes) -> bytes:
        asked.append(data)
        return bytes(64)

    for document in documents():
        seal(document, signer=Signer(key_id="operations-1", sign=catch), topic=ORDERS)
    return asked


def _frames() -> Sequence[bytes]:
    request = request_frame(SigningRequest(key_id="operations-1", data=b"data"))
    return [request[_HEAD_BYTES:], answer_frame(SigningAnswer(signature=b"s" * 64))[_HEAD_BYTES:]]


def _text(parse: Callable[..., object], **fixed: object) -> Callable[[bytes], object]:
    return lambda data: parse(data.decode("utf-8", "replace"), name="f", **fixed)


def _sealed() -> Sequence[bytes]:
    key, phrase = key_of("operations-1"), checked(phrase_of("x"))
    return [seal_key(key, phrase, key_id="op-1", purpose="root", cost=CHEAP, salt=bytes(16), nonce=bytes(12))]


def _drafts() -> Sequence[bytes]:
    return [draft_text(open_keyset(ISSUER.keyset(), topic=KEYSETS, root=ISSUER.root)).encode()]


@cache
def _configurations() -> Sequence[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        return [yaml.safe_dump(plain_config(make_pki(Path(folder) / "keys"))).encode()]


def _scenarios() -> Sequence[bytes]:
    return [path.read_bytes() for path in sorted(SCENARIOS.glob("*.yaml"))]


CONTROLLER = (
    Target(name="enrolment-request", decode=_enrol, declared=(), seeds=_requests),
    Target(
        name="api-body",
        decode=partial(_body, api._body, BODIES),
        declared=(),
        seeds=lambda: [json.dumps({"area": "xa", "clip": "flood", "minutes": 5, "reality": "real"}).encode()],
    ),
    Target(
        name="enrolment-api-body",
        decode=partial(_body, enrolment_api._body, ENROLMENT_BODIES),
        declared=(),
        seeds=lambda: [b'{"node": "N001", "replace": true}'],
    ),
    Target(name="signer-request", decode=parse_request, declared=(SigningError,), seeds=_frames),
    Target(name="signer-answer", decode=parse_answer, declared=(SigningError,), seeds=_frames),
    Target(
        name="signing-policy",
        decode=_policy,
        declared=(Refusal, SigningError),
        seeds=_asked,
    ),
    Target(
        name="sealed-key",
        decode=lambda d: parse_sealed_key(d, name="f"),
        declared=(KeyFileError,),
        seeds=_sealed,
    ),
    Target(name="keyset-draft", decode=_text(parse_draft), declared=(KeyFileError,), seeds=_drafts),
    Target(
        name="controller-configuration",
        decode=_text(parse_config, folder=Path("/")),
        declared=(ConfigError,),
        seeds=_configurations,
    ),
    Target(
        name="signer-configuration",
        decode=_text(parse_signer_config, folder=Path("/")),
        declared=(ConfigError,),
        seeds=lambda: [b"socket: s\nkeys: []\n"],
    ),
    Target(name="scenario", decode=_text(parse_scenario), declared=(ScenarioError,), seeds=_scenarios),
)
