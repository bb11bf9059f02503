import colorsys

orange = tuple(round(x, 4) for x in colorsys.rgb_to_hsv(1, 0.5, 0))
print(orange, colorsys.hsv_to_rgb(0.5, 1, 1), [round(x, 3) for x in colorsys.rgb_to_hls(0.2, 0.4, 0.4)])
print([round(x, 2) for x in colorsys.rgb_to_yiq(1, 1, 1)], colorsys.yiq_to_rgb(0, 0, 0))
palette = ["#" + "".join(f"{round(c * 255):02x}" for c in colorsys.hls_to_rgb(h / 6, 0.5, 1)) for h in range(6)]


def mix(a, b):
    parts = zip(bytes.fromhex(a[1:]), bytes.fromhex(b[1:]))
    return "#" + bytes((x + y) // 2 for x, y in parts).hex()


[palette, mix(palette[0], palette[2]), [mix(c, "#ffffff") for c in palette[:2]]]
