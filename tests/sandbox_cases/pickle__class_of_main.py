import copy
import pickle


class Thing:
    def __init__(self, n):
        self.n = n


[pickle.loads(pickle.dumps(Thing(3))).n, copy.deepcopy(Thing(4)).n]
