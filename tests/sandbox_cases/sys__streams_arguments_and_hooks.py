import io
import sys

print(
    sys.version_info >= (3, 11),
    sys.byteorder in ("little", "big"),
    sys.maxsize > 2**31,
    sys.getdefaultencoding(),
    sys.float_info.dig,
)
try:
    input("prompt> ")
except EOFError as error:
    print("\nno more input:", error)
shown = []
sys.displayhook, old = shown.append, sys.displayhook
exec(compile("1 + 1", "<i>", "single"))
sys.displayhook = old
try:
    sys.exit("message")
except SystemExit as leaving:
    code = leaving.code
trace = []
sys.setprofile(lambda frame, event, arg: trace.append(event) if frame.f_code.co_name == "traced" else None)


def traced():
    return 1


traced()
sys.setprofile(None)
try:
    1 / 0
except ZeroDivisionError:
    kind, value, tb = sys.exc_info()
sys.stdin = io.StringIO("typed\nlines\n")
typed = input(), sys.stdin.read()
[
    shown,
    code,
    trace,
    kind.__name__,
    str(value),
    tb.tb_lineno > 0,
    sys.exc_info(),
    typed,
    sys.intern("a b") is sys.intern("a b"),
    sys._getframe().f_code.co_name,
]
