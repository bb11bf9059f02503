import difflib

old = ["alpha", "beta", "gamma", "delta"]
new = ["alpha", "BETA", "gamma", "epsilon", "delta"]
print("\n".join(difflib.unified_diff(old, new, "old.txt", "new.txt", lineterm="", n=1)))
matcher = difflib.SequenceMatcher(None, "kitten", "sitting")
print([(tag, "kitten"[a:b], "sitting"[c:d]) for tag, a, b, c, d in matcher.get_opcodes()], round(matcher.ratio(), 3))
close = difflib.get_close_matches("appel", ["ape", "apple", "peach", "puppy"], n=2)
delta = list(difflib.ndiff(["one\n"], ["ore\n"]))
print("".join(delta))
[close, list(difflib.restore(delta, 2)), matcher.find_longest_match().size]
