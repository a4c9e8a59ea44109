"""Signs or verifies the message on standard input with dkimpy.

verify SELECTOR RECORD                          prints True or False
sign SELECTOR KEY-FILE rsa|ed25519 HEADER/BODY  prints the DKIM-Signature field
"""

import base64
import sys

import dkim


def verify(selector, record):
    name = f"{selector}._domainkey.sender.test.".encode()
    lookup = lambda asked, timeout=5: record.encode() if asked == name else None
    print(dkim.DKIM(sys.stdin.buffer.read()).verify(dnsfunc=lookup))


def sign(selector, key_file, algorithm, canonical):
    key = open(key_file, "rb").read()
    if algorithm == "ed25519":
        # dkimpy wants the bare seed: the last 32 octets of the first OCTET STRING in PKCS #8.
        der = base64.b64decode(b"".join(key.splitlines()[1:-1]))
        at = der.index(b"\x04\x22\x04\x20") + 4
        key = base64.b64encode(der[at : at + 32])
    header, body = (part.encode() for part in canonical.split("/"))
    field = dkim.sign(
        sys.stdin.buffer.read(), selector.encode(), b"sender.test", key,
        canonicalize=(header, body), signature_algorithm=(algorithm + "-sha256").encode(),
    )
    sys.stdout.buffer.write(field)


{"verify": verify, "sign": sign}[sys.argv[1]](*sys.argv[2:])
