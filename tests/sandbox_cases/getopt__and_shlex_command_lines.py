import getopt
import shlex

line = """convert -q --size=3x4 'my file.png' out\\ put.jpg "say \\"hi\\"" # comment"""
words = shlex.split(line, comments=True)
print(words)
options, rest = getopt.gnu_getopt(words[1:], "qo:", ["size=", "help"])
print(options, rest)
try:
    getopt.getopt(["--unknown"], "", ["size="])
except getopt.GetoptError as error:
    print(error.opt, error.msg)
try:
    shlex.split("it's")
except ValueError as error:
    print(error)
lexer = shlex.shlex("a=1;b>2 && c", posix=True, punctuation_chars=True)
[shlex.quote("a b'c"), shlex.join(["x", "y z"]), list(lexer), shlex.split(shlex.join(words)) == words]
