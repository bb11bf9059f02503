# needs: work directory
import importlib
import importlib.util
import sys
from pathlib import Path

package = Path("shapes")
package.mkdir()
(package / "__init__.py").write_text(
    "from .area import square\n__all__ = ['square']\nSIDES = {'square': 4}\n", encoding="utf-8"
)
(package / "area.py").write_text("print('area is imported')\ndef square(a):\n    return a * a\n", encoding="utf-8")
sys.path.insert(0, str(Path.cwd()))
importlib.invalidate_caches()
import shapes
from shapes.area import square as sq

plugin = Path("plugin.py")
plugin.write_text("NAME = __name__\ndef run(x): return [NAME, x]\n", encoding="utf-8")
spec = importlib.util.spec_from_file_location("loaded_plugin", plugin)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
try:
    import shapes.missing
except ModuleNotFoundError as error:
    print(error.name, error)
[
    shapes.square(5),
    sq is shapes.square,
    module.run(1),
    shapes.__name__,
    sorted(m for m in sys.modules if m.startswith("shapes")),
    importlib.import_module(".area", "shapes").square(2),
]
