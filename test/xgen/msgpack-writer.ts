/** What a client writes, by hand: JavaScript values in the smallest form, or `raw` bytes where a test wants another one. */
export type Encodable =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | Raw
  | readonly Encodable[]
  | { readonly [key: string]: Encodable };

export class Raw {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

/** As some encoders write every large number. */
export function float64(value: number): Raw {
  const bytes = Buffer.alloc(9);
  bytes[0] = 0xcb;
  bytes.writeDoubleBE(value, 1);
  return new Raw(bytes);
}

export function encode(value: Encodable): Buffer {
  if (value === null) return Buffer.of(0xc0);
  if (typeof value === 'boolean') return Buffer.of(value ? 0xc3 : 0xc2);
  if (typeof value === 'number') return number(value);
  if (typeof value === 'string') {
    const bytes = Buffer.from(value);
    const head = bytes.length < 32 ? Buffer.of(0xa0 | bytes.length) : sized([0xd9, 0xda, 0xdb], bytes.length);
    return Buffer.concat([head, bytes]);
  }
  if (value instanceof Raw) return Buffer.from(value.bytes);
  if (value instanceof Uint8Array) return Buffer.concat([sized([0xc4, 0xc5, 0xc6], value.length), value]);
  if (isList(value)) {
    const head =
      value.length < 16 ? Buffer.of(0x90 | value.length) : sized([undefined, 0xdc, 0xdd], value.length);
    return Buffer.concat([head, ...value.map(encode)]);
  }
  const entries = Object.entries(value);
  const head =
    entries.length < 16 ? Buffer.of(0x80 | entries.length) : sized([undefined, 0xde, 0xdf], entries.length);
  return Buffer.concat([head, ...entries.flatMap(([key, item]) => [encode(key), encode(item)])]);
}

function number(value: number): Buffer {
  if (value >= 0 && value < 0x80) return Buffer.of(value);
  if (value < 0 && value >= -32) return Buffer.of(0x100 + value);
  if (value < 0) throw new Error('not needed by any test');
  return sized([0xcc, 0xcd, 0xce], value);
}

function sized(codes: readonly (number | undefined)[], value: number): Buffer {
  const [one, two, four = 0] = codes;
  if (one !== undefined && value <= 0xff) return Buffer.of(one, value);
  if (two !== undefined && value <= 0xffff) return Buffer.of(two, value >> 8, value & 0xff);
  const bytes = Buffer.alloc(5);
  bytes[0] = four;
  bytes.writeUInt32BE(value, 1);
  return bytes;
}

function isList(value: object): value is readonly Encodable[] {
  return Array.isArray(value);
}
