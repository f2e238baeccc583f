// CBOR values that JSON lacks: `{"bytes": hex}`, `{"full-date": "2026-11-22"}` and
// `{"date-time": "2026-11-22T14:00:00Z"}`.
import { DateOnly } from "@owf/mdoc";
import { fromHex, toHex } from "./lines.mjs";

export function toJson(value) {
  if (value instanceof DateOnly) return { "full-date": value.toISOString().slice(0, 10) };
  if (value instanceof Date) return { "date-time": value.toISOString().replace(".000Z", "Z") };
  if (value instanceof Uint8Array) return { bytes: toHex(value) };
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, item]) => [key, toJson(item)]));
  if (Array.isArray(value)) return value.map(toJson);
  if (typeof value === "bigint") return Number(value);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, toJson(item)]));
  }
  return value;
}

export function fromJson(value) {
  if (Array.isArray(value)) return value.map(fromJson);
  if (value === null || typeof value !== "object") return value;
  if ("bytes" in value) return fromHex(value.bytes);
  if ("full-date" in value) return new DateOnly(value["full-date"]);
  if ("date-time" in value) return new Date(value["date-time"]);
  return new Map(Object.entries(value).map(([key, item]) => [key, fromJson(item)]));
}
