"""The vocabulary of toolweft: what a tool is, how it is written down, and what crosses the wire.

Imported by the server and the client alike; needs nothing but pydantic.
"""

__version__ = "0.1.0"
__all__ = ["__version__"]
