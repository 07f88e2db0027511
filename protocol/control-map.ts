import { Packr } from 'msgpackr/index-no-eval';
import { payloadBytesMax } from './message-types.ts';
import { brokenBound, type MsgpackBounds } from './msgpack-bounds.ts';
import type { ParseResult } from './parse-result.ts';

/**
 * What a control payload may hold: no nil and no undefined, an absent key is left out. A number over 32 bits would be
 * written as a float: give it as a bigint.
 */
export type MapValue = string | number | bigint | boolean | Uint8Array | readonly MapValue[] | ControlMap;
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
  /** The largest message is ExecStart: 1,024 arguments, 1,024 pairs, and its own keys and values. */
  elementsMax: 3_200,
};

/** Binary values are views on `payload`: copy what outlives it. */
export function decodeControlMap(payload: Uint8Array): ParseResult<Readonly<Record<string, unknown>>> {
  const broken = brokenBound(payload, controlBounds);
  if (broken !== undefined) return { error: broken };
  try {
    return { value: packr.unpack(payload) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : 'not decodable' };
  }
}

/** The bytes are a view on memory of the packer's that it does not use again; keep a copy if you keep it long. */
export function encodeControlMap(map: ControlMap): ParseResult<Uint8Array> {
  const payload = packr.pack(map);
  if (payload.length <= payloadBytesMax) return { value: payload };
  return { error: `${payload.length} bytes, over ${payloadBytesMax}` };
}
