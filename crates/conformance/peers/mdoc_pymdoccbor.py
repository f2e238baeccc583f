"""PyPI pymdoccbor as issuer and verifier of mdocs.

It signs with the machine's clock, checks no validity and no device authentication.
"""
import base64
import datetime

import cbor2
from cryptography import x509
from pymdoccbor.mdoc.issuer import MdocCborIssuer
from pymdoccbor.mdoc.verifier import MdocCbor

from lines import serve, verdict


def number(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def cose_key(jwk):
    key = {"KTY": "EC2", "CURVE": jwk["crv"].replace("-", "_"), "X": number(jwk["x"]), "Y": number(jwk["y"])}
    if "d" in jwk:
        key |= {"ALG": "ES256", "D": number(jwk["d"])}
    return key


def from_json(value):
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "bytes" in value:
        return bytes.fromhex(value["bytes"])
    if "full-date" in value:
        return cbor2.CBORTag(1004, value["full-date"])
    if "date-time" in value:
        return cbor2.CBORTag(0, value["date-time"])
    return {key: from_json(item) for key, item in value.items()}


def issue(doc_type, namespaces, signer, certificates, device, valid_from, valid_until, **_):
    """The document is a DeviceResponse without deviceSigned, as this library makes it."""
    issuer = MdocCborIssuer(private_key=cose_key(signer), alg="ES256")
    issuer.new(
        doctype=doc_type,
        data=from_json(namespaces),
        validity={"issuance_date": valid_from[:10], "expiry_date": valid_until[:10]},
        devicekeyinfo=cose_key({key: device[key] for key in ("kty", "crv", "x", "y")}),
        x509_chain=[bytes.fromhex(der) for der in certificates],
    )
    response = issuer.dump()
    # Its items are tag 24 byte strings already, so encoding them again changes nothing signed.
    issuer_signed = cbor2.loads(response)["documents"][0]["issuerSigned"]
    return {"document": response.hex(), "issuer_signed": cbor2.dumps(issuer_signed).hex()}


def verify_response(document, trust, **_):
    def check():
        response = MdocCbor()
        response.loads(bytes.fromhex(document))
        anchors = [x509.load_der_x509_certificate(bytes.fromhex(der)) for der in trust]
        if not response.verify(trusted_root_certs=anchors):
            raise ValueError("a document is invalid")
        return {"documents": [{"doc_type": one.doctype} for one in response.documents]}

    return verdict(check)


serve({"issue": issue, "verify_response": verify_response})
