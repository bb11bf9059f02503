import hashlib
import hmac
import secrets

message = "päyload".encode()
for name in ("md5", "sha1", "sha256", "sha3_256", "blake2b"):
    print(name, hashlib.new(name, message).hexdigest()[:16])
running = hashlib.sha256()
for i in range(0, len(message), 3):
    running.update(message[i : i + 3])
tag = hmac.new(b"key", message, "sha256")
derived = hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 1000, dklen=8)
keyed = hashlib.blake2s(message, key=b"k", digest_size=4, person=b"toolweft")
print(keyed.hexdigest(), hashlib.shake_128(b"").hexdigest(4), derived.hex())
[
    running.hexdigest() == hashlib.sha256(message).hexdigest(),
    tag.hexdigest()[:12],
    hmac.compare_digest(tag.digest(), hmac.digest(b"key", message, "sha256")),
    running.digest_size,
    running.block_size,
    len(secrets.token_hex(8)),
    len(secrets.token_bytes(5)),
    secrets.randbelow(1),
    secrets.choice("a"),
    secrets.compare_digest("a", "b"),
]
