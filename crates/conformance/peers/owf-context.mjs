// What @owf/mdoc asks its host for: digests, signatures and certificates, by node:crypto.
import {
  createECDH, createHash, createHmac, createPrivateKey, createPublicKey, diffieHellman, hkdfSync, randomBytes,
  sign, timingSafeEqual, verify, X509Certificate,
} from "node:crypto";
import { CoseKey, KeyType, SignatureAlgorithm } from "@owf/mdoc";

const HASHES = { "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512" };
// EdDSA (RFC 8032) hashes by itself.
const SIGNATURE_HASHES = {
  [SignatureAlgorithm.ES256]: "sha256",
  [SignatureAlgorithm.ES384]: "sha384",
  [SignatureAlgorithm.EdDSA]: null,
};

export const publicJwk = ({ kty, crv, x, y }) => ({ kty, crv, x, y });

const nodeKey = (key) => {
  const { kty, crv, x, y, d } = key.jwk;
  const jwk = { kty, crv, x, ...(y && { y }) };
  return d ? createPrivateKey({ key: { ...jwk, d }, format: "jwk" }) : createPublicKey({ key: jwk, format: "jwk" });
};

const algorithmOf = (headers) => {
  const algorithm = headers.headers?.get(1);
  if (!(algorithm in SIGNATURE_HASHES)) throw new Error(`algorithm ${algorithm} is not allowed`);
  return SIGNATURE_HASHES[algorithm];
};

const point = (raw) => ({
  kty: "EC", crv: "P-256",
  x: Buffer.from(raw.subarray(1, 33)).toString("base64url"),
  y: Buffer.from(raw.subarray(33, 65)).toString("base64url"),
});

const nameFields = (name, field) =>
  name.split("\n").filter((line) => line.startsWith(`${field}=`)).map((line) => line.slice(field.length + 1));

const crypto = {
  random: (length) => new Uint8Array(randomBytes(length)),
  digest: ({ digestAlgorithm, bytes }) => new Uint8Array(createHash(HASHES[digestAlgorithm]).update(bytes).digest()),
  calculateEphemeralMacKey: ({ privateKey, publicKey, sessionTranscriptBytes, info }) => {
    const d = Buffer.from(privateKey).toString("base64url");
    const secret = diffieHellman({
      privateKey: createPrivateKey({ key: { ...ownPoint(privateKey), d }, format: "jwk" }),
      publicKey: createPublicKey({ key: point(publicKey), format: "jwk" }),
    });
    const salt = createHash("sha256").update(sessionTranscriptBytes).digest();
    const k = new Uint8Array(hkdfSync("sha256", secret, salt, info, 32));
    return CoseKey.create({ keyType: KeyType.Oct, k });
  },
};

// node wants the public point beside a private scalar.
function ownPoint(privateKey) {
  const ecdh = createECDH("prime256v1");
  ecdh.setPrivateKey(Buffer.from(privateKey));
  return point(ecdh.getPublicKey());
}

const cose = {
  sign1: {
    sign: ({ toBeSigned, key, algorithm }) => new Uint8Array(
      sign(SIGNATURE_HASHES[algorithm], toBeSigned, { key: nodeKey(key), dsaEncoding: "ieee-p1363" })),
    verify: ({ key, sign1 }) => verify(
      algorithmOf(sign1.protectedHeaders), sign1.toBeSigned,
      { key: nodeKey(key), dsaEncoding: "ieee-p1363" }, sign1.signature),
  },
  mac0: {
    sign: ({ key, toBeAuthenticated }) =>
      new Uint8Array(createHmac("sha256", key.privateKey).update(toBeAuthenticated).digest()),
    verify: ({ mac0, key }) => timingSafeEqual(
      createHmac("sha256", key.privateKey).update(mac0.toBeAuthenticated).digest(), mac0.tag),
  },
};

const x509 = {
  getIssuerNameField: ({ certificate, field }) => nameFields(new X509Certificate(certificate).issuer, field),
  getPublicKey: ({ certificate }) =>
    CoseKey.fromJwk(publicJwk(new X509Certificate(certificate).publicKey.export({ format: "jwk" }))),
  verifyCertificateChain: ({ trustedCertificates, x5chain, now }) => {
    const trusted = trustedCertificates.map((der) => new X509Certificate(der));
    const chain = x5chain.map((der) => new X509Certificate(der));
    for (const certificate of chain) {
      const [begin, end] = [new Date(certificate.validFrom), new Date(certificate.validTo)];
      if (now < begin || now > end) throw new Error("a certificate of the chain is not valid at this time");
    }
    for (const [index, certificate] of chain.entries()) {
      if (trusted.some((anchor) => anchor.raw.equals(certificate.raw))) return;
      const issuer = [chain[index + 1], ...trusted].find((candidate) => candidate && certificate.checkIssued(candidate)
        && certificate.verify(candidate.publicKey));
      if (!issuer) throw new Error("no trusted certificate issued this chain");
      if (trusted.includes(issuer)) return;
    }
    throw new Error("the chain reaches no trusted certificate");
  },
  getCertificateData: ({ certificate }) => {
    const parsed = new X509Certificate(certificate);
    return {
      issuerName: parsed.issuer, subjectName: parsed.subject, serialNumber: parsed.serialNumber,
      thumbprint: parsed.fingerprint256, notBefore: new Date(parsed.validFrom), notAfter: new Date(parsed.validTo),
      pem: parsed.toString(),
    };
  },
};

export const context = { crypto, cose, x509 };
