import html
from html.parser import HTMLParser

page = """<html><head><title>A &amp; B</title><script>if (a < b) {}</script></head>
<body><h1 id="top">News</h1><a href="/one?x=1&amp;y=2">One</a> <a href='two' target=_blank>T&ouml;o</a>
<img src=x.png><!-- note --><p>last</body></html>"""


class Links(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.links, self.texts, self.stack = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in {"img", "p"}:
            self.stack.append(tag)
        if tag == "a":
            self.links.append([dict(attrs)["href"], ""])

    def handle_endtag(self, tag):
        while self.stack and self.stack.pop() != tag:
            pass

    def handle_data(self, data):
        if "a" in self.stack:
            self.links[-1][1] += data
        elif "script" not in self.stack and data.strip():
            self.texts.append((self.stack[-1], data.strip()))

    def handle_comment(self, data):
        self.texts.append(("comment", data.strip()))


parser = Links()
parser.feed(page[:100])
parser.feed(page[100:])
parser.close()
print(parser.links)
[
    parser.texts,
    html.escape("<a href=\"x\">'&'</a>"),
    html.unescape("&lt;&#8364;&#x41;&notanentity; &copy"),
    parser.getpos()[0],
]
