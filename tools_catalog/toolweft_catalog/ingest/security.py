"""The security schemes of an OpenAPI document, reduced to where a credential goes. It holds no credential."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypedDict

from toolweft_catalog.ingest.references import BrokenReferenceError, References
from toolweft_catalog.tool import Json

Kind = Literal["header", "query", "cookie", "bearer", "basic", "unsupported"]


class Scheme(TypedDict):
    scheme: str
    """Its name in the document, which is its key under `auth` in the configuration."""
    kind: Kind
    name: str
    """Name of the header, query parameter or cookie."""


def schemes(spec: Mapping[str, Json], references: References, problems: list[str]) -> dict[str, Scheme]:
    components = spec.get("components")
    listed = components.get("securitySchemes") if isinstance(components, dict) else None
    found: dict[str, Scheme] = {}
    for name, raw in (listed if isinstance(listed, dict) else {}).items():
        try:
            found[name] = _scheme(name, references.follow(raw))
        except (BrokenReferenceError, ValueError) as error:
            problems.append(f"the security scheme {name!r:.100} cannot be read: {error}")
            continue
        if found[name]["kind"] == "unsupported":
            problems.append(f"the security scheme {name!r:.100} is of a kind that is not supported")
    return found


def _scheme(name: str, raw: Mapping[str, Json]) -> Scheme:
    from openapi_pydantic.v3.v3_1 import SecurityScheme

    bare = {key: raw[key] for key in ("type", "name", "in", "scheme") if key in raw}
    scheme = SecurityScheme.model_validate(bare)
    place = scheme.name or ""
    if scheme.type == "apiKey" and place:
        for kind in ("header", "query", "cookie"):
            if scheme.security_scheme_in == kind:
                return Scheme(scheme=name, kind=kind, name=place)
    if scheme.type in ("oauth2", "openIdConnect"):
        return Scheme(scheme=name, kind="bearer", name="Authorization")
    if scheme.type == "http" and (scheme.scheme or "").lower() in ("bearer", "basic"):
        return Scheme(scheme=name, kind=(scheme.scheme or "").lower(), name="Authorization")  # type: ignore[typeddict-item]
    return Scheme(scheme=name, kind="unsupported", name=place)


def alternatives(wanted: object, known: Mapping[str, Scheme]) -> list[list[Scheme]]:
    """A document's `security`: a list of alternatives, each an object whose keys are schemes that apply together."""
    return [
        [known[name] for name in each]
        for each in (wanted if isinstance(wanted, list) else [])
        if isinstance(each, dict) and all(name in known for name in each)
    ]
