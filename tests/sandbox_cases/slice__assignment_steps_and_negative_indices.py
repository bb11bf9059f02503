letters = list("abcdefgh")
letters[2:4] = ["X"]
letters[::3] = [1, 2, 3]
letters[len(letters) :] = ["end"]
letters[1:1] = ["in", "serted"]
print(letters, letters[-3:-1], letters[::-2])
try:
    letters[::2] = [0]
except ValueError as error:
    print(error)
text = "Hello, World"
every = slice(None, None, 3)
window = [text[i : i + 3] for i in range(0, len(text), 3)]
print(window, text[100:], text[-100:3], text[every], text[7:2:-1])
r = range(0, 50, 7)
[r[2:5], r[-1], list(r[::-1]), 21 in r, r.index(42), len(r), (1, 2, 3)[-2:], "abc"[True]]
