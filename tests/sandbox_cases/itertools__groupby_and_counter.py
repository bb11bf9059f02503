import itertools
from collections import Counter, defaultdict, deque

words = "the cat the dog the end".split()
by_length = defaultdict(list)
for word in words:
    by_length[len(word)].append(word)
print(Counter(words).most_common(1))
[{k: len(v) for k, v in by_length.items()}, list(itertools.pairwise([1, 2, 3])), list(deque(words, 2))]
