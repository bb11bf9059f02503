import importlib
import importlib.util
import math as m
import os.path
import sys
import xml.dom
from collections import abc, namedtuple as nt
from math import *

print(m.pi == pi, os.path is sys.modules["os.path"], abc.Sized.__name__, nt("P", "x")(1), xml.dom.__name__)
try:
    import no_such_module_anywhere
except ImportError as error:
    print(type(error).__name__, error.name, error)
try:
    from math import no_such_name
except ImportError as error:
    print(str(error).split(" (")[0])
sys.modules["made_up"] = type(sys)("made_up")
exec("def __getattr__(name):\n    return f'lazy {name}'", vars(sys.modules["made_up"]))
import made_up
from made_up import anything

json = importlib.import_module("json")
fresh = importlib.reload(json) is json
[
    made_up.more,
    anything,
    fresh,
    importlib.util.find_spec("no.such") if "no" in sys.modules else None,
    importlib.util.find_spec("csv").name,
    __name__,
    "math" in sys.modules,
]
