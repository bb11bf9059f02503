import colorsys
import mimetypes

orange = tuple(round(x, 4) for x in colorsys.rgb_to_hsv(1, 0.5, 0))
print(
    orange,
    colorsys.hsv_to_rgb(0.5, 1, 1),
    [round(x, 3) for x in colorsys.rgb_to_hls(0.2, 0.4, 0.4)],
    [round(x, 2) for x in colorsys.rgb_to_yiq(1, 1, 1)],
)
palette = ["#" + "".join(f"{round(c * 255):02x}" for c in colorsys.hls_to_rgb(h / 6, 0.5, 1)) for h in range(6)]
types = mimetypes.MimeTypes(filenames=())
types.add_type("application/x-weft", ".weft")
[
    palette,
    [types.guess_type(n) for n in ("a.html", "b.tar.gz", "c.weft", "d.json", "nothing")],
    types.guess_extension("application/x-weft"),
]
