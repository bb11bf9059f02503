text = 'nul \x00 escape \x1b[31m bell \x07 quote " backslash \\ newline \n line separator \u2028 bom \ufeff del \x7f'
print(len(text), repr(text))
[text, "👩🏽‍💻", "e\u0301", "\U0010ffff", "\ue000"]
