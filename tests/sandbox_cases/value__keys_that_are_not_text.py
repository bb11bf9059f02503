table = {1: "int", 2.5: "float", None: "none", True: "was int one", "text": {3: [4, (5, 6)]}}
print(table)
table
