import json

text = json.loads('"half of a pair: \\ud83d"')
print(text)
print("whole: " + json.loads('"\\ud83d\\ude00"'))
print(b"\xff and \xc3\xa9".decode("utf-8", "backslashreplace"))
[len(text), text.encode("ascii", "backslashreplace").decode(), text.encode("utf-16", "surrogatepass")[-2:].hex()]
