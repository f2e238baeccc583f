// One job per line in, one answer per line out, both JSON, in order, until the input ends.
//
// With the member `repeat`, a job is done so many times and its last answer gets the member
// `cpu_ns`: the processor time of this process for one time.
//
// What the peers' libraries print goes to standard error, so that answers stand alone. An
// exception is an answer too: `{"error": ...}`.
import { createInterface } from "node:readline";

console.log = console.error;

export async function serve(jobs) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { job, repeat = 1, ...request } = JSON.parse(line);
    let answer;
    try {
      if (!jobs[job]) throw new Error(`no such job: ${job}`);
      const begin = process.cpuUsage();
      for (let time = 0; time < repeat; time += 1) answer = await jobs[job](request);
      const { user, system } = process.cpuUsage(begin);
      if (repeat > 1) answer.cpu_ns = ((user + system) * 1000) / repeat;
    } catch (error) {
      answer = { error: words(error) };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
}

// A verdict: true when `check` returns, false with the reason when it throws.
export async function verdict(check) {
  try {
    return { valid: true, ...(await check()) };
  } catch (error) {
    return { valid: false, reason: words(error) };
  }
}

function words(error) {
  const cause = error?.cause ? `: ${words(error.cause)}` : "";
  return `${error?.message || error}${cause}`;
}

export const fromHex = (hex) => new Uint8Array(Buffer.from(hex, "hex"));
export const toHex = (bytes) => Buffer.from(bytes).toString("hex");
