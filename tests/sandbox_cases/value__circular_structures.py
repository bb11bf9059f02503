family = {"name": "root", "children": []}
family["children"].append({"name": "child", "parent": family})
ring = [1]
ring.append(ring)
print(ring)
[family, ring]
