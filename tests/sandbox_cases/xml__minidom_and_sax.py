import io
import xml.dom.minidom
import xml.sax
import xml.sax.saxutils

document = xml.dom.minidom.parseString("<menu><item price='3'>Tea</item><item price='4'>Jam</item></menu>")
for item in document.getElementsByTagName("item"):
    item.setAttribute("price", str(int(item.getAttribute("price")) + 1))
note = document.createElement("note")
note.appendChild(document.createTextNode("fresh & hot"))
document.documentElement.appendChild(note)
print(document.documentElement.toprettyxml(indent="  "))


class Totals(xml.sax.ContentHandler):
    def __init__(self):
        self.total, self.text = 0, ""

    def startElement(self, name, attrs):
        self.total += int(attrs.get("price", 0))

    def characters(self, content):
        self.text += content


handler = Totals()
xml.sax.parse(io.StringIO(document.toxml()), handler)
[
    handler.total,
    handler.text,
    xml.sax.saxutils.escape("a<b"),
    xml.sax.saxutils.quoteattr('say "x"'),
    document.documentElement.lastChild.tagName,
]
