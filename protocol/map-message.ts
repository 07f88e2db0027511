import { type ControlMap, decodeControlMap, encodeControlMap, type MapValue } from './control-map.ts';
import { FieldReader } from './field-reader.ts';
import type { ParseResult } from './parse-result.ts';

/** The fields of a message, read from bytes that nobody has looked at yet. */
export function parseMap<T>(payload: Uint8Array, read: (fields: FieldReader) => T): ParseResult<T> {
  const map = decodeControlMap(payload);
  if ('error' in map) return map;
  const fields = new FieldReader(map.value);
  return fields.result(read(fields));
}

/** A map as its message writes it: a key whose value is undefined is left out, as the wire has no nil. */
export type Fields = Readonly<Record<string, MapValue | undefined>>;

/** For messages that hold what a caller wrote: it may not fit a frame, or not be valid Unicode. */
export function encodeMap(fields: Fields): ParseResult<Uint8Array> {
  return encodeControlMap(given(fields));
}

/** For messages whose size is fixed by their fields: one that does not fit is a mistake of ours. */
export function encodeFixedMap(fields: Fields): Uint8Array {
  const payload = encodeMap(fields);
  if ('error' in payload)
    throw new Error(`assertion failed: a message of fixed fields fits a frame (${payload.error})`);
  return payload.value;
}

export const emptyMap: Uint8Array = new Uint8Array([0x80]);

/** For answers that say nothing; keys of later versions are ignored. */
export function parseEmptyMap(payload: Uint8Array): ParseResult<Record<string, never>> {
  return parseMap(payload, () => ({}));
}

/** The given fields as a map. Exported for maps inside maps. */
export function given(fields: Fields): ControlMap {
  const map: Record<string, MapValue> = {};
  for (const [key, value] of Object.entries(fields)) {
    if (value !== undefined) map[key] = value;
  }
  return map;
}

/**
 * The object without its undefined properties: an absent key of a message is an absent property, never an undefined
 * one, so that two parsed messages can be compared and spread.
 */
export function present<T extends object>(properties: T): Present<T> {
  const kept: Partial<Record<string, unknown>> = {};
  for (const [key, value] of Object.entries(properties)) {
    if (value !== undefined) kept[key] = value;
  }
  return kept as Present<T>;
}

type Present<T> = { [Key in keyof T as undefined extends T[Key] ? never : Key]: T[Key] } & {
  [Key in keyof T as undefined extends T[Key] ? Key : never]?: Exclude<T[Key], undefined>;
};
