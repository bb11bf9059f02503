"""A small folder of data, and an encoder whose geometry is known: each of a few words is an axis."""

import json

import numpy as np

TOOLS = [
    ("git/log", "git_log", "git", "Shows the commits of a repository.", "code"),
    ("git/diff", "git_diff", "git", "Shows changes between commits.", "code"),
    ("hub/issue", "create_issue", "hub", "Creates an issue in a repository.", "code"),
    ("mail/send", "send_mail", "mail", "Sends a mail to a person. Attachments are allowed.", "office"),
    ("mail/list", "list_mail", "mail", "Lists the mails of an inbox.", "office"),
    ("post/send", "send_mail", "post", "Sends a mail to a person. Attachments are allowed.", "office"),
    ("sky/weather", "weather", "sky", "The weather of a city today.", "world"),
    ("clock/now", "now", "clock", "The time of a city.", "world"),
]
QUERIES = [
    {"id": "q1", "query": "show commits", "gold": ["git/log"], "split": "train", "style": "agent"},
    {"id": "q2", "query": "send a mail to Ann", "gold": ["mail/send"], "split": "dev", "style": "user"},
    {"id": "q3", "query": "weather of Rome", "gold": ["sky/weather"], "split": "dev", "style": "user"},
    {"id": "q4", "query": "weather and time", "gold": ["sky/weather", "clock/now"], "split": "dev", "style": "multi"},
    {"id": "q5", "query": "show commits of this repository", "gold": ["git/log"], "split": "dev", "style": "agent"},
    {"id": "q6", "query": "create an issue", "gold": ["hub/issue"], "split": "test", "style": "agent"},
]


def rows_of_tools():
    fields = ("id", "name", "server", "description", "category")
    return [dict(zip(fields, tool, strict=True)) for tool in TOOLS]


def write(folder, *, tools=None, queries=None):
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("tools", rows_of_tools() if tools is None else tools), ("queries", queries or QUERIES)):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    return folder


class Axes:
    """(texts, words) rows of unit length: which of its words a text holds."""

    words = ("commit", "issue", "mail", "weather", "time", "change")

    def encode(self, texts):
        rows = np.array([[text.lower().count(word) for word in self.words] for text in texts], np.float32)
        rows = rows.reshape(len(texts), len(self.words)) + np.float32(0.01)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)
