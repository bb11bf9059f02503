import uuid

page = uuid.uuid5(uuid.NAMESPACE_URL, "https://example.com/page")
old = uuid.uuid3(uuid.NAMESPACE_DNS, "python.org")
print(page, old, page.version, page.variant == uuid.RFC_4122)
same = uuid.UUID(bytes=page.bytes)
forms = {uuid.UUID("{%s}" % page), uuid.UUID(page.hex), uuid.UUID(page.urn), uuid.UUID(int=page.int), same}
fresh = {uuid.uuid4() for _ in range(50)}
try:
    uuid.UUID("123")
except ValueError as error:
    print(error)
[
    len(forms),
    len(fresh),
    uuid.UUID(int=0).hex,
    str(page)[:8],
    sorted([old, page])[0] == min(old, page),
    uuid.UUID(int=5).fields[-1],
    repr(uuid.UUID(int=1)),
]
