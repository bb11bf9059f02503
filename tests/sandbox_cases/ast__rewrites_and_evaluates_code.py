import ast

source = "def area(r):\n    pi = 3\n    return pi * r ** 2 if r else None\n"
tree = ast.parse(source)


class Names(ast.NodeVisitor):
    def __init__(self):
        self.stored, self.loaded = [], []

    def visit_Name(self, node):
        (self.stored if isinstance(node.ctx, ast.Store) else self.loaded).append(node.id)


class Precise(ast.NodeTransformer):
    def visit_Constant(self, node):
        return ast.copy_location(ast.Constant(3.14), node) if node.value == 3 else node


names = Names()
names.visit(tree)
print(names.stored, names.loaded)
better = ast.fix_missing_locations(Precise().visit(tree))
print(ast.unparse(better))
space = {}
exec(compile(better, "<better>", "exec"), space)
calls = [ast.unparse(n.func) for n in ast.walk(ast.parse("a.b(c(1), *d)[e()]")) if isinstance(n, ast.Call)]
problems = []
for text in ("{'a': [1, -2.5, (True, None)]}", "__import__('os')", "1 +"):
    try:
        print(ast.literal_eval(text))
    except (ValueError, SyntaxError) as error:
        problems.append(type(error).__name__)
[
    space["area"](2),
    calls,
    problems,
    ast.dump(ast.parse("x+1", mode="eval").body.op),
    [n.lineno for n in tree.body[0].body],
    ast.get_source_segment(source, ast.parse(source).body[0].body[0]),
]
