"""The parts of the backend `e2b`: `cloud` speaks with the SDK, `link` carries bytes, `relay` runs on the other side."""
