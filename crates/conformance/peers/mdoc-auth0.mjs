// npm @auth0/mdl as verifier of mdocs. It reads the machine's clock, so its documents must be
// valid now.
import { DataItem, Verifier } from "@auth0/mdl";
import { X509Certificate } from "node:crypto";
import { fromHex, serve, verdict } from "./lines.mjs";

// It wants the transcript as SessionTranscriptBytes, in tag 24.
const wrapped = (transcript) => {
  const length = transcript.length;
  const head = length < 24 ? [0x40 | length] : length < 256 ? [0x58, length] : [0x59, length >> 8, length & 255];
  return Buffer.from([0xd8, 0x18, ...head, ...transcript]);
};

await serve({
  // {document, transcript, trust: [hex], reader: hex of the CBOR COSE_Key with the private scalar}
  verify_response: (request) => verdict(async () => {
    const trust = request.trust.map((der) => new X509Certificate(fromHex(der)).toString());
    const response = await new Verifier(trust).verify(Buffer.from(request.document, "hex"), {
      encodedSessionTranscript: wrapped(fromHex(request.transcript)),
      ephemeralReaderKey: request.reader && Buffer.from(request.reader, "hex"),
    });
    return { documents: response.documents.map(({ docType }) => ({ doc_type: docType })) };
  }),
});
