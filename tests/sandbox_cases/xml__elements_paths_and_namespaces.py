import io
import xml.etree.ElementTree as ET

text = """<?xml version="1.0"?>
<catalog xmlns:d="urn:dates">
  <book id="b1" lang="en"><title>Dune</title><price>9.50</price><d:year>1965</d:year></book>
  <book id="b2"><title>Emma &amp; co</title><price>7.00</price></book>
</catalog>"""
root = ET.fromstring(text)
print([(b.get("id"), b.findtext("title"), float(b.find("price").text)) for b in root.iter("book")])
print(root.find("book/d:year", {"d": "urn:dates"}).text, root.findall(".//book[@lang='en']/title")[0].text, len(root))
added = ET.SubElement(root, "book", id="b3")
ET.SubElement(added, "title").text = '<New> & "quoted" é'
root.remove(root[0])
ET.indent(root, "\t")
print(ET.tostring(root, encoding="unicode"))
events = [(event, e.tag) for event, e in ET.iterparse(io.BytesIO(b"<a><b/>t</a>"), ("start", "end"))]
try:
    ET.fromstring("<a><b></a>")
except ET.ParseError as error:
    print(error.position, str(error).split(":")[0])
[
    events,
    ET.tostring(ET.Element("e", {"k": 'v"'}), short_empty_elements=False).decode(),
    [e.text for e in root.findall("book[2]/title")],
    "".join(ET.fromstring("<p>a<b>c</b>d</p>").itertext()),
]
