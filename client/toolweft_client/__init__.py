"""The toolweft agent: solves tasks by writing programs against the tools. Start reading at `agent`."""

__all__: list[str] = []
