import io
import logging
import logging.config
import logging.handlers

stream = io.StringIO()
handler = logging.StreamHandler(stream)
handler.setFormatter(logging.Formatter("{levelname:>7} {name} {message}", style="{"))
root = logging.getLogger("app")
root.setLevel(logging.INFO)
root.propagate = False
root.addHandler(handler)
child = logging.getLogger("app.db")
child.debug("not shown")
child.info("rows: %d of %s", 3, "ten")
child.addFilter(lambda record: "secret" not in record.getMessage())
child.warning("a secret")
try:
    {}["k"]
except KeyError:
    root.exception("failed")
memory = logging.handlers.MemoryHandler(10, flushLevel=logging.ERROR, target=handler)
batch = logging.getLogger("batch")
batch.propagate = False
batch.addHandler(memory)
batch.warning("held")
before = stream.getvalue().count("held")
batch.error("flushes")
adapter = logging.LoggerAdapter(child, {"user": "ann"})
adapter.setLevel("CRITICAL")
lines = stream.getvalue().splitlines()
print("\n".join(line for line in lines if not line.startswith(" ") or "app" in line or "batch" in line))
[
    lines[2],
    lines[-3],
    before,
    child.getEffectiveLevel(),
    logging.getLevelName(30),
    root.isEnabledFor(10),
    child.parent.name,
]
