import type { ParseFailure, ParseResult } from './parse-result.ts';

/**
 * Cuts the `records` of a channel's Output (`u16 length | map`) into messages, wherever frame borders fall.
 *
 * It owns at most one unfinished record, 64 KiB, gathered in an allocation of its own size. Once a record was wrong the
 * reader stays so: where the next one begins is only known from this one. `isAtBorder` tells, at the end of the channel,
 * whether a record was cut off.
 */
export class RecordReader<T> {
  readonly #parse: (record: Uint8Array) => ParseResult<T>;
  /** The first of the two length bytes, when only that has come. */
  #highByte: number | null = null;
  /** The record whose length is known and whose bytes are not all there. */
  #body: Uint8Array | null = null;
  #filled = 0;
  #failure: ParseFailure | null = null;

  constructor(parse: (record: Uint8Array) => ParseResult<T>) {
    this.#parse = parse;
  }

  get isAtBorder(): boolean {
    return this.#highByte === null && this.#body === null;
  }

  /** The records that these bytes complete. */
  push(bytes: Uint8Array): ParseResult<readonly T[]> {
    const records: T[] = [];
    let offset = 0;
    while (this.#failure === null && offset < bytes.length) {
      const body = this.#body;
      if (body === null) {
        offset = this.#readLength(bytes, offset, records);
      } else {
        const part = bytes.subarray(offset, offset + body.length - this.#filled);
        body.set(part, this.#filled);
        this.#filled += part.length;
        offset += part.length;
        if (this.#filled === body.length) this.#take(body, records);
      }
    }
    return this.#failure ?? { value: records };
  }

  /** Up to behind the length, or behind the record where it is all there. */
  #readLength(bytes: Uint8Array, offset: number, records: T[]): number {
    const high = this.#highByte ?? bytes[offset] ?? 0;
    const lowOffset = this.#highByte === null ? offset + 1 : offset;
    const low = bytes[lowOffset];
    if (low === undefined) {
      this.#highByte = high;
      return lowOffset;
    }
    this.#highByte = null;
    const bodyOffset = lowOffset + 1;
    const end = bodyOffset + high * 256 + low;
    if (end <= bytes.length) {
      this.#take(bytes.subarray(bodyOffset, end), records);
      return end;
    }
    this.#body = new Uint8Array(end - bodyOffset);
    this.#filled = 0;
    return bodyOffset;
  }

  #take(record: Uint8Array, records: T[]): void {
    this.#body = null;
    const parsed = this.#parse(record);
    if ('error' in parsed) this.#failure = parsed;
    else records.push(parsed.value);
  }
}

/** One record as it stands in the stream. */
export function encodeRecord(map: Uint8Array): Uint8Array {
  if (map.length > 0xffff) throw new Error('assertion failed: a record has at most 65,535 bytes');
  const record = new Uint8Array(lengthBytes + map.length);
  record[0] = map.length >>> 8;
  record[1] = map.length & 0xff;
  record.set(map, lengthBytes);
  return record;
}

const lengthBytes = 2;
