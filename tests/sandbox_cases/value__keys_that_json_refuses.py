board = {(0, 0): "rook", (0, 1): "knight", frozenset([7]): ["set"]}
print(len(board))
board
