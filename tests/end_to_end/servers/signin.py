"""An MCP server whose tool sends the person to an address before it answers."""

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.types import ElicitRequest, ElicitRequestURLParams, InputRequiredResult

server = MCPServer("signin")


@server.tool()
async def sign_in(ctx: Context) -> str | InputRequiredResult:
    """Asks the person to sign in."""
    if ctx.input_responses is None:
        params = ElicitRequestURLParams(message="Sign in first", url="https://example.org/in")
        return InputRequiredResult(input_requests={"in": ElicitRequest(params=params)})
    return ctx.input_responses["in"].action


server.run("stdio")
