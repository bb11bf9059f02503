from urllib.parse import (
    parse_qs,
    parse_qsl,
    quote,
    quote_plus,
    unquote,
    urldefrag,
    urlencode,
    urljoin,
    urlsplit,
    urlunsplit,
)

url = "https://user:p%40ss@Example.com:8443/a%20b/c;v=1?q=caf%C3%A9&q=2&empty=#frag"
parts = urlsplit(url)
print(parts.scheme, parts.hostname, parts.port, parts.username, unquote(parts.password), parts.path, parts.fragment)
query = parse_qs(parts.query, keep_blank_values=True)
print(query, parse_qsl("a=1&b=2&a=3"))
rebuilt = urlunsplit(
    parts._replace(netloc="example.com", query=urlencode({"x": [1, 2], "name": "J & J"}, doseq=True), fragment="")
)
joined = [urljoin("https://h/a/b/c", ref) for ref in ("../d", "/root", "?q", "//other/x", "e/./f", "mailto:a@b")]
try:
    urlsplit("http://[bad").hostname
except ValueError as error:
    print(error)
[
    rebuilt,
    joined,
    quote("a/b c?é"),
    quote("a/b", safe=""),
    quote_plus("a b&c"),
    unquote("%E2%82%AC"),
    list(urldefrag("x#y")),
    urlsplit("//host/path", "ftp").geturl(),
]
