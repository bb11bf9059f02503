import string
import textwrap

template = string.Template("Dear $name, you owe $$${amount}. ${missing}")
print(template.safe_substitute(name="Ann", amount=5))
try:
    template.substitute(name="Ann", amount=5)
except KeyError as error:
    missing = error.args
print(template.get_identifiers(), template.is_valid(), missing)
prose = "The sandbox runs a program, keeps what it printed and gives back the value of its last expression. " * 2
print(textwrap.fill(prose, 40, initial_indent="* ", subsequent_indent="  "))
print(textwrap.shorten(prose, 30, placeholder=" …"))
block = textwrap.dedent("""\
    if x:
        y()
      # odd
""")
print(textwrap.indent(block, "> "))


class Upper(string.Formatter):
    def format_field(self, value, spec):
        return value.upper() if spec == "up" else super().format_field(value, spec)


[
    Upper().format("{0:up}-{n:03d}", "abc", n=7),
    string.capwords("a bc  d"),
    textwrap.wrap("x" * 7, 3),
    list(string.Formatter().parse("a{b!r:>3}"))[0][1:],
    string.hexdigits,
]
