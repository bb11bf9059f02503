import configparser
import io

text = """
[DEFAULT]
home = /srv
retries: 3

[paths]
; a comment
data = %(home)s/data
logs = ${raw}
hosts =
    alpha
    beta

[flags]
debug = yes
ratio = 0.5
alone
"""
config = configparser.ConfigParser(allow_no_value=True)
config.read_string(text)
print(
    config.sections(), config["paths"]["data"], config["paths"]["hosts"].split(), config.get("paths", "logs", raw=True)
)
print(
    config.getboolean("flags", "debug"),
    config["flags"].getfloat("ratio"),
    config["flags"]["alone"],
    config.getint("flags", "retries"),
    config["flags"].get("nope", "fallback"),
)
config["new"] = {"a": "1", "home": "/other"}
config.remove_option("flags", "alone")
out = io.StringIO()
config.write(out)
problems = []
for work in (
    lambda: config["zip"],
    lambda: config.get("new", "zip"),
    lambda: configparser.ConfigParser().read_string("[a]\nx=1\nx=2"),
    lambda: configparser.ConfigParser().read_string("x=1"),
):
    try:
        work()
    except (KeyError, configparser.Error) as error:
        problems.append(type(error).__name__)
[problems, out.getvalue().splitlines()[:3], "home" in config["new"], config.has_option("new", "zip")]
