"""A small HTTP service with an OpenAPI document, for the demo: parcels on their way. Standard library only."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PARCELS = [
    {"id": "P-1", "city": "Oslo", "status": "in transit", "weight_kg": 2.5},
    {"id": "P-2", "city": "Lima", "status": "delivered", "weight_kg": 0.4},
    {"id": "P-3", "city": "Pune", "status": "held at customs", "weight_kg": 11.0},
]

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Parcels", "version": "1", "description": "Where parcels are."},
    "paths": {
        "/parcels": {
            "get": {
                "operationId": "list_parcels",
                "summary": "List parcels, optionally those bound for one city.",
                "parameters": [{"name": "city", "in": "query", "schema": {"type": "string"}}],
                "responses": {
                    "200": {
                        "description": "Parcels",
                        "content": {
                            "application/json": {
                                "schema": {"type": "array", "items": {"$ref": "#/components/schemas/Parcel"}}
                            }
                        },
                    }
                },
            }
        },
        "/parcels/{id}": {
            "get": {
                "operationId": "track_parcel",
                "summary": "Track one parcel by its number.",
                "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
                "responses": {
                    "200": {
                        "description": "The parcel",
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Parcel"}}},
                    }
                },
            }
        },
    },
    "components": {
        "schemas": {
            "Parcel": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "city": {"type": "string"},
                    "status": {"type": "string"},
                    "weight_kg": {"type": "number"},
                },
                "required": ["id", "city", "status"],
            }
        }
    },
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/openapi.json":
            return self._answer(200, DOCUMENT)
        if url.path == "/parcels":
            city = parse_qs(url.query).get("city", [None])[0]
            return self._answer(200, [parcel for parcel in PARCELS if city in (None, parcel["city"])])
        found = [parcel for parcel in PARCELS if url.path == f"/parcels/{parcel['id']}"]
        return self._answer(200, found[0]) if found else self._answer(404, {"error": "no such parcel"})

    def _answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Quiet: the demo's output is for people."""


@contextmanager
def serve() -> Iterator[str]:
    """Serves on a free loopback port; yields the address of the OpenAPI document."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/openapi.json"
    finally:
        server.shutdown()
        server.server_close()
