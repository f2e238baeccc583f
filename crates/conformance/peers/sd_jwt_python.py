"""PyPI sd-jwt as issuer, holder and verifier of SD-JWTs (RFC 9901). It checks no times."""
from jwcrypto.jwk import JWK
from sd_jwt.common import SDObj
from sd_jwt.holder import SDJWTHolder
from sd_jwt.issuer import SDJWTIssuer
from sd_jwt.verifier import SDJWTVerifier

from lines import serve, verdict


def concealed(claims, names):
    return {SDObj(name) if name in names else name: value for name, value in claims.items()}


def issue(claims, disclosable, signer, device=None, **_):
    issuer = SDJWTIssuer(
        concealed(claims, disclosable),
        issuer_key=JWK(**signer),
        holder_key=JWK(**{name: device[name] for name in ("kty", "crv", "x", "y")}) if device else None,
        extra_header_parameters={"typ": "dc+sd-jwt"},
    )
    return {"document": issuer.sd_jwt_issuance}


def present(document, disclose, audience=None, nonce=None, device=None, **_):
    holder = SDJWTHolder(document)
    wanted = {name: True for name in disclose}
    if nonce is None:
        holder.create_presentation(wanted)
    else:
        holder.create_presentation(wanted, nonce, audience, JWK(**device), sign_alg="ES256")
    return {"document": holder.sd_jwt_presentation}


def verify(document, issuer, audience=None, nonce=None, **_):
    def check():
        verifier = SDJWTVerifier(document, lambda *_: JWK(**issuer), audience, nonce)
        return {"claims": verifier.get_verified_payload()}

    return verdict(check)


serve({"issue": issue, "present": present, "verify": verify})
