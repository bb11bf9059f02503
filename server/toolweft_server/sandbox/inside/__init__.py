"""The part of the sandbox that runs inside the child: standard library only, imports nothing of toolweft.

`main` boots and waits for runs, `program` executes one, `tools` is what programs see, `channel` carries frames,
`values` turns values into JSON, `report` turns exceptions into data, `files` collects what a program left behind.
Programs share this process with it, so it promises nothing: the server checks all that it says.
"""

__all__: list[str] = []
