"""What the fake of a node's API says of secrets and revoked keys."""

import json
from dataclasses import dataclass, field
from typing import Any

from peatd.errors import ConfigError
from peatd.formation import Formation, parse_formation_secret
from peatd.rotation import Install, Remove, Step, Use, after

Answered = tuple[int, dict[str, Any]]


@dataclass
class Custody:
    """Attributes, for tests to set:

    formation: whose secrets are accepted.
    fixed: why they cannot be changed.
    revoked: device id → what is told of it.
    """

    formation: Formation = field(default_factory=lambda: Formation("peat", (b"o" * 32,)))
    fixed: str | None = None
    revoked: dict[str, dict[str, Any]] = field(default_factory=dict)

    def secrets(self, method: str, body: bytes) -> Answered:
        if method == "POST":
            asked = json.loads(body)
            if self.fixed:
                return _refusal("secret_fixed", self.fixed)
            try:
                self.formation = Formation("peat", after(_step(asked), self.formation))
            except ConfigError as exc:
                return _refusal("rotation_refused", str(exc))
        names, source = list(self.formation.fingerprints), "/data/formation-secret"
        return 200, {"formation": "peat", "secrets": names, "source": source, "fixed": self.fixed, "failure": None}

    def revocations(self, method: str, body: bytes) -> Answered:
        if method == "GET":
            return 200, {"revocations": list(self.revoked.values()), "count": len(self.revoked)}
        device_id = json.loads(body)["device_id"]
        status = 200 if device_id in self.revoked else 201
        told = {"device_id": device_id, "revoked_at": 1_767_225_600, "issuer": "dd8bee9a97c7384d26559b05dd8bb87e"}
        return status, self.revoked.setdefault(device_id, told)


def _step(asked: dict[str, Any]) -> Step:
    match asked["step"]:
        case "install":
            return Install(parse_formation_secret(asked["secret"], "body")[0])
        case "use":
            return Use(asked["fingerprint"])
        case _:
            return Remove(asked["fingerprint"])


def _refusal(code: str, message: str) -> Answered:
    return 409, {"error": {"code": code, "message": message, "hint": "as the API says"}}
