import email
import email.policy
from email.message import EmailMessage
from email.utils import formataddr, getaddresses, parsedate_to_datetime

message = EmailMessage()
message["Subject"] = "Grüße ☃"
message["From"] = formataddr(("Ann Ö", "ann@example.com"))
message["To"] = "bob@example.com, Cid <cid@example.com>"
message["Date"] = "Mon, 06 May 2024 07:08:09 +0200"
message.set_content("plain tëxt\n")
message.add_alternative("<p>html</p>", subtype="html")
message.add_attachment(b"\x00\x01", maintype="application", subtype="octet-stream", filename="a.bin")
raw = message.as_bytes()
again = email.message_from_bytes(raw, policy=email.policy.default)
print(again["subject"], again["from"].addresses[0].display_name, [a.addr_spec for a in again["to"].addresses])
print([part.get_content_type() for part in again.walk()], again.get_body(("plain",)).get_content().strip())
attachment = next(again.iter_attachments())
old = email.message_from_string("Subject: =?utf-8?q?caf=C3=A9?=\nX-List: a\nX-List: b\n\nbody")
[
    attachment.get_filename(),
    attachment.get_content().hex(),
    parsedate_to_datetime(again["date"]).isoformat(),
    old.get_all("x-list"),
    old.get_payload(),
    str(email.header.make_header(email.header.decode_header(old["subject"]))),
    getaddresses(["A <a@b>, c@d"]),
]
