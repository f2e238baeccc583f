// npm @owf/mdoc as issuer, holder and verifier of mdocs.
import {
  CoseKey, DeviceKey, DeviceRequest, DeviceResponse, DocRequest, Holder, IssuerSigned, Issuer, ItemsRequest,
  SessionTranscript, SignatureAlgorithm, Verifier,
} from "@owf/mdoc";
import { fromHex, serve, toHex, verdict } from "./lines.mjs";
import { context, publicJwk } from "./owf-context.mjs";
import { fromJson, toJson } from "./values.mjs";

const algorithms = { "P-256": SignatureAlgorithm.ES256, "P-384": SignatureAlgorithm.ES384, Ed25519: SignatureAlgorithm.EdDSA };

const claims = (issuerSigned) => Object.fromEntries([...issuerSigned.issuerNamespaces.issuerNamespaces].map(
  ([namespace, items]) => [namespace, Object.fromEntries(items.map((item) => [item.elementIdentifier, toJson(item.elementValue)]))]));

const now = ({ at }) => (at ? new Date(at) : undefined);

await serve({
  // {doc_type, namespaces, signer: jwk, certificates: [hex], device: jwk, signed, valid_from, valid_until}
  async issue(request) {
    const issuer = new Issuer(request.doc_type, context);
    for (const [namespace, elements] of Object.entries(request.namespaces)) {
      issuer.addIssuerNamespace(namespace, fromJson(elements));
    }
    const issuerSigned = await issuer.sign({
      signingKey: CoseKey.fromJwk(request.signer),
      algorithm: algorithms[request.signer.crv],
      digestAlgorithm: request.digest ?? "SHA-256",
      validityInfo: {
        signed: new Date(request.signed), validFrom: new Date(request.valid_from), validUntil: new Date(request.valid_until),
      },
      deviceKeyInfo: { deviceKey: DeviceKey.fromJwk(publicJwk(request.device)) },
      certificates: request.certificates.map(fromHex),
    });
    return { document: toHex(issuerSigned.encode()) };
  },

  // {document, trust: [hex], at}
  verify_issuer_signed: (request) => verdict(async () => {
    const issuerSigned = IssuerSigned.decode(fromHex(request.document));
    await Holder.verifyIssuerSigned({
      issuerSigned, trustedCertificates: request.trust.map(fromHex), now: now(request), skewSeconds: 0,
    }, context);
    return { doc_type: issuerSigned.issuerAuth.mobileSecurityObject.docType, claims: claims(issuerSigned) };
  }),

  // {document, doc_type, transcript, device: private jwk, elements: {namespace: [element]}}
  async respond(request) {
    const namespaces = new Map(Object.entries(request.elements).map(
      ([namespace, elements]) => [namespace, new Map(elements.map((element) => [element, false]))]));
    const itemsRequest = ItemsRequest.create({ docType: request.doc_type, namespaces });
    const response = await DeviceResponse.createWithDeviceRequest({
      deviceRequest: DeviceRequest.create({ docRequests: [DocRequest.create({ itemsRequest })] }),
      sessionTranscript: SessionTranscript.decode(fromHex(request.transcript)),
      issuerSigned: [IssuerSigned.decode(fromHex(request.document))],
      signature: { signingKey: CoseKey.fromJwk({ ...request.device, alg: "ES256" }) },
    }, context);
    return { document: toHex(response.encode()) };
  },

  // {document, transcript, trust: [hex], at, reader: private jwk for a MAC}
  verify_response: (request) => verdict(async () => {
    const deviceResponse = DeviceResponse.decode(fromHex(request.document));
    await Verifier.verifyDeviceResponse({
      deviceResponse,
      sessionTranscript: SessionTranscript.decode(fromHex(request.transcript)),
      ephemeralReaderKey: request.reader && CoseKey.fromJwk(request.reader),
      trustedCertificates: request.trust.map(fromHex), now: now(request), skewSeconds: 0,
    }, context);
    const documents = deviceResponse.documents ?? [];
    return { documents: documents.map(({ docType, issuerSigned }) => ({ doc_type: docType, claims: claims(issuerSigned) })) };
  }),
});
