"""Records what JSON the readers of two common languages read, as json_readers.json.

Run it with Node and Python on the PATH: python3 core/tests/json_readers.py. The column `hookward` is
written by hand, so it is taken over from the file.
"""

import base64
import json
import pathlib
import subprocess
import sys

FILE = pathlib.Path(__file__).with_suffix(".json")

CASES = {
    "byte_order_mark": b'\xef\xbb\xbf{"a":1}',
    "duplicate_key": b'{"a":1,"a":2}',
    "lone_high_surrogate": b'{"a":"x\\ud800y"}',
    "lone_low_surrogate": b'{"a":"\\udc00"}',
    "reversed_surrogates": b'{"a":"\\udc00\\ud800"}',
    "nan": b'{"a":NaN}',
    "infinity": b'{"a":[Infinity,-Infinity]}',
    "large_exponent": b'{"a":1e400}',
    "huge_exponent": b'{"a":-1E+99999999999}',
    "tiny_exponent": b'{"a":1e-400}',
    "integer_of_400_digits": b'{"a":'+b'9'*400+b'}',
    "minus_zero": b'{"a":-0}',
    "leading_zero": b'{"a":01}',
    "leading_plus": b'{"a":+1}',
    "bare_fraction": b'{"a":.5}',
    "trailing_dot": b'{"a":1.}',
    "hexadecimal": b'{"a":0x1}',
    "blanks_around": b' \t\r\n{"a":1}\n\n ',
    "form_feed_after": b'{"a":1}\x0c',
    "form_feed_before": b'\x0c{"a":1}',
    "vertical_tab_inside": b'{"a":\x0b1}',
    "no_break_space_after": '{"a":1}\u00a0'.encode(),
    "nul_after": b'{"a":1}\x00',
    "depth_65": b'{"a":'+b'['*64+b']'*64+b'}',
    "depth_200": b'{"a":'+b'['*199+b']'*199+b'}',
    "depth_2000": b'{"a":'+b'['*1999+b']'*1999+b'}',
    "newline_in_text": b'{"a":"x\ny"}',
    "tab_in_text": b'{"a":"x\ty"}',
    "delete_in_text": b'{"a":"x\x7fy"}',
    "nul_escape": b'{"a":"\\u0000"}',
    "line_separator_in_text": '{"a":"\u2028"}'.encode(),
    "invalid_utf8_in_text": b'{"a":"\xff"}',
    "cesu8_surrogates": b'{"a":"\xed\xa0\xbd\xed\xb8\x80"}',
    "utf16_le_with_mark": b'\xff\xfe'+'{"a":1}'.encode('utf-16-le'),
    "utf16_be": '{"a":1}'.encode('utf-16-be'),
    "utf32_le": '{"a":1}'.encode('utf-32-le'),
    "comment": b'{"a":1/*x*/}',
    "trailing_comma": b'{"a":1,}',
    "single_quotes": b"{'a':1}",
    "unquoted_key": b'{a:1}',
    "two_values": b'{"a":1}{"a":2}',
    "slash_escape": b'{"a":"\\/"}',
    "unknown_escape": b'{"a":"\\x41"}',
    "empty_key": b'{"":1,"a":1}',
    "proto_key": b'{"__proto__":{"x":1},"a":1}',
    "upper_case_literal": b'{"a":True}',
    "undefined": b'{"a":undefined}',
}

# What express, fastify and a bare handler do: bytes to text as UTF-8, then JSON.parse.
NODE = """
const body = require("fs").readFileSync(0);
try { JSON.parse(body.toString("utf8")); console.log("reads"); } catch { console.log("rejects"); }
"""


def node(body):
    run = subprocess.run(["node", "-e", NODE], input=body, capture_output=True, check=True)
    return run.stdout.decode().strip()


def python(body):
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return "rejects"
    return "reads"


known = {}
if FILE.exists():
    known = {case["name"]: case["hookward"] for case in json.loads(FILE.read_text())["cases"]}
cases = []
for name, body in CASES.items():
    cases.append({
        "name": name,
        "body_base64": base64.b64encode(body).decode(),
        "node": node(body),
        "python": python(body),
        "hookward": known.get(name, "?"),
    })
version = subprocess.run(["node", "--version"], capture_output=True, check=True).stdout.decode()
recorded = {"node": version.strip(), "python": sys.version.split()[0], "cases": cases}
FILE.write_text(json.dumps(recorded, indent=1) + "\n")
