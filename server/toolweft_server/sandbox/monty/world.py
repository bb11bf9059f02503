"""What a program in Monty sees of the world outside, and the objects that stand for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from toolweft_catalog.call import Blob
from toolweft_server.sandbox.limits import MIB
from toolweft_server.sandbox.monty.script import bindable
from toolweft_server.sandbox.monty.values import Picture

if TYPE_CHECKING:
    from pydantic_monty import ClassInstance, ClassType

BLOBS = 64 * MIB
"""Binary content that one session may hold. It stays with us, so that Monty's own limit does not see it."""
MAX_SERVERS = 1000
"""Names of servers that one session may try: each leaves an object behind."""


class Tools:
    """`tools`."""


class Functions:
    """`functions`."""


class Server:
    """`tools.NAME`."""

    def __init__(self, name: str) -> None:
        self.server = name


class World:
    """Lives as long as its session, as the objects in it do."""

    def __init__(self) -> None:
        from pydantic_monty import ClassInstance, ClassType

        self._instance: type[ClassInstance] = ClassInstance
        self.objects: dict[UUID, object] = {}
        self._servers: dict[str, ClassInstance] = {}
        self.tools, self.functions = self._add(Tools()), self._add(Functions())
        self.blob: ClassType = ClassType(Picture, init=True)
        self._held = 0

    def names(self, servers: Any, taken: frozenset[str]) -> dict[str, Any]:
        """What a run binds: the bare names of servers too, where they shadow nothing."""
        bare = {name: self.server(name) for name in servers if name not in taken and bindable(name)}
        return {**bare, "tools": self.tools, "functions": self.functions, "Blob": self.blob}

    def server(self, name: str) -> ClassInstance | None:
        """The object of a server, be there one or not: its tools answer for themselves."""
        if name not in self._servers and len(self._servers) < MAX_SERVERS:
            self._servers[name] = self._add(Server(name))
        return self._servers.get(name)

    def attribute(self, owner: object, name: str) -> Any:
        """What an attribute of one of our objects is; `None` when there is none."""
        if name.startswith("_"):
            return None
        if isinstance(owner, Tools):
            return self.server(name)
        return function(f"{owner.server}.{name}") if isinstance(owner, Server) else None

    def picture(self, blob: Blob) -> ClassInstance:
        """Binary content for a program.

        Raises:
            MemoryError: The session holds too much of it.

        """
        self._held += len(blob.data)
        if self._held > BLOBS:
            self._held -= len(blob.data)
            raise MemoryError(f"a session holds at most {BLOBS // MIB} MiB of binary content")
        return self._add(
            Picture(blob.mime, blob.data),
            eager_attrs=("mime", "size"), allowed_methods=("read", "save"), class_type=self.blob,
        )  # fmt: skip

    def _add(self, value: object, **policy: Any) -> ClassInstance:
        wrapped = self._instance(value, **policy)
        self.objects[wrapped.id] = value
        return wrapped


def function(name: str) -> Callable[..., None]:
    """What stands for a tool that a program keeps in a variable: Monty tells its calls by this name."""

    def tool() -> None: ...

    tool.__name__ = tool.__qualname__ = name
    return tool
