import { Packr } from 'msgpackr/index-no-eval';
import { payloadBytesMax, u32Max } from './limits.ts';
import { brokenBound, type MsgpackBounds } from './msgpack-bounds.ts';
import type { ParseResult } from './parse-result.ts';
import { loneSurrogate } from './wire-path.ts';

/** What a control payload may hold: no nil and no undefined, an absent key is left out. Numbers are integers. */
export type MapValue = string | number | boolean | Uint8Array | readonly MapValue[] | ControlMap;
export interface ControlMap {
  readonly [key: string]: MapValue;
}

/** Plain maps that every language reads; no records, no shared structures, nothing remembered between two messages. */
const packr = new Packr({
  useRecords: false,
  mapsAsObjects: true,
  int64AsType: 'number',
  variableMapSize: true,
});

const controlBounds: MsgpackBounds = {
  bytesMax: payloadBytesMax,
  /** The message, its arrays and maps, and room for one more level in later versions. */
  depthMax: 4,
  /** The largest message is an ExecList of 256 processes with eleven keys each; ExecStart with 1,024 pairs has half. */
  elementsMax: 6_400,
};

/** Binary values are views on `payload`: copy what outlives it. */
export function decodeControlMap(payload: Uint8Array): ParseResult<Readonly<Record<string, unknown>>> {
  const broken = brokenBound(payload, controlBounds);
  if (broken !== undefined) return { error: broken, malformed: true };
  try {
    return { value: packr.unpack(payload) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : 'not decodable', malformed: true };
  }
}

/** The bytes are a view on memory of the packer's that it does not use again; keep a copy if you keep it long. */
export function encodeControlMap(map: ControlMap): ParseResult<Uint8Array> {
  const fault = unsayable(map);
  if (fault !== undefined) return { error: fault };
  const payload = packr.pack(packable(map));
  if (payload.length <= payloadBytesMax) return { value: payload };
  return { error: `${payload.length} bytes, over ${payloadBytesMax}` };
}

/** What the wire has no form for. Half a surrogate pair would go out as U+FFFD: another name than the one meant. */
function unsayable(value: MapValue): string | undefined {
  if (typeof value === 'string')
    return loneSurrogate.test(value) ? 'text that is not valid Unicode' : undefined;
  if (typeof value === 'number') return Number.isSafeInteger(value) ? undefined : `${value} is no integer`;
  if (typeof value !== 'object' || value instanceof Uint8Array) return undefined;
  if (isList(value)) return firstFault(value);
  if (Object.hasOwn(value, '__proto__')) return 'the key __proto__';
  return firstFault(Object.keys(value)) ?? firstFault(Object.values(value));
}

function firstFault(values: readonly MapValue[]): string | undefined {
  for (const value of values) {
    const fault = unsayable(value);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** As the packer has to be given it: it would write a number over 32 bits as a float. */
function packable(value: MapValue): unknown {
  if (typeof value === 'number') return value > u32Max ? BigInt(value) : value;
  if (typeof value !== 'object' || value instanceof Uint8Array) return value;
  if (isList(value)) return value.map(packable);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, packable(inner)]));
}

function isList(value: MapValue): value is readonly MapValue[] {
  return Array.isArray(value);
}
