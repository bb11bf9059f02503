import io
import keyword
import symtable
import token
import tokenize

source = "total = price*(1+0.2)  # with tax\nif total>10:\n    print(f'big')\n"
found = [(token.tok_name[t.exact_type], t.string) for t in tokenize.generate_tokens(io.StringIO(source).readline)]
print(
    [text for kind, text in found if kind == "COMMENT"],
    [text for kind, text in found if kind in ("STAR", "GREATER", "LPAR")],
)
print(
    sum(kind == "INDENT" for kind, _ in found),
    [text for kind, text in found if kind == "NAME" and not keyword.iskeyword(text)],
)
try:
    list(tokenize.generate_tokens(io.StringIO("x = (1,\n").readline))
except (tokenize.TokenError, SyntaxError) as error:
    print("incomplete")
table = symtable.symtable("def f(a):\n    global g\n    b = a\n    return lambda: b + g + h\n", "<s>", "exec")
function = table.get_children()[0]
[
    sorted(function.get_parameters()),
    sorted(function.get_locals()),
    function.lookup("g").is_global(),
    function.get_children()[0].lookup("b").is_free(),
    keyword.issoftkeyword("match"),
    keyword.iskeyword("None"),
    {"async", "await", "lambda"} <= set(keyword.kwlist),
]
