"""The toolweft server: one MCP server in front of every tool a person has. Start reading at `tools/`."""

__all__: list[str] = []
