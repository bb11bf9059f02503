import base64
import binascii
import codecs
import io

data = bytes(range(250, 256)) + "ü?>".encode()
print(
    base64.b64encode(data).decode(),
    base64.urlsafe_b64encode(data).decode(),
    base64.b32encode(b"hi").decode(),
    base64.a85encode(b"test").decode(),
    base64.b85encode(b"test").decode(),
)
try:
    base64.b64decode("abc")
except binascii.Error as error:
    print(error)
print(
    codecs.encode("Uryyb", "rot13"),
    codecs.decode("68690a", "hex"),
    binascii.hexlify(b"\x00\xff", "-").decode(),
    binascii.crc_hqx(b"123", 0),
)
decoder = codecs.getincrementaldecoder("utf-8")()
pieces = [decoder.decode(bytes([b])) for b in "a€".encode()]
codecs.register_error("stars", lambda error: ("*" * (error.end - error.start), error.end))
bom = codecs.BOM_UTF8 + b"x"
stream = codecs.getreader("cp1252")(io.BytesIO(b"\x80 5"))
[
    pieces,
    "naïve €".encode("ascii", "stars").decode(),
    "é€".encode("ascii", "xmlcharrefreplace").decode(),
    "é".encode("ascii", "backslashreplace").decode(),
    "ü".encode("ascii", "namereplace").decode(),
    bom.decode("utf-8-sig"),
    stream.read(),
    "bücher.example".encode("idna").decode(),
    codecs.lookup("latin1").name,
    base64.b64decode("YQ==", validate=True).decode(),
    b"=C3=BC".decode("ascii"),
    binascii.a2b_qp(b"=C3=BC").decode(),
]
