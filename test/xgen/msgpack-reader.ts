/**
 * A MessagePack decoder of the tests' own, written from the format's specification, so that what the service encodes is
 * not judged by its own encoder. Strict: an extension type, a float or bytes behind the value are failures.
 */
export type Decoded =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Decoded[]
  | { [key: string]: Decoded };

export function decode(bytes: Uint8Array): Decoded {
  const reader = new Reader(bytes);
  const value = reader.value();
  if (reader.offset !== bytes.length)
    throw new Error(`${bytes.length - reader.offset} bytes behind the value`);
  return value;
}

class Reader {
  offset = 0;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  value(): Decoded {
    const first = this.#unsigned(1);
    if (first < 0x80) return first;
    if (first < 0x90) return this.#map(first & 0x0f);
    if (first < 0xa0) return this.#list(first & 0x0f);
    if (first < 0xc0) return this.#text(first & 0x1f);
    if (first >= 0xe0) return first - 0x100;
    switch (first) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.#bytes(this.#unsigned(2 ** (first - 0xc4)));
      case 0xcc:
      case 0xcd:
      case 0xce:
        return this.#unsigned(2 ** (first - 0xcc));
      case 0xcf:
        return this.#at(8, (at) => this.#view.getBigUint64(at));
      case 0xd0:
        return this.#at(1, (at) => this.#view.getInt8(at));
      case 0xd1:
        return this.#at(2, (at) => this.#view.getInt16(at));
      case 0xd2:
        return this.#at(4, (at) => this.#view.getInt32(at));
      case 0xd3:
        return this.#at(8, (at) => this.#view.getBigInt64(at));
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#text(this.#unsigned(2 ** (first - 0xd9)));
      case 0xdc:
      case 0xdd:
        return this.#list(this.#unsigned(2 ** (first - 0xdb)));
      case 0xde:
      case 0xdf:
        return this.#map(this.#unsigned(2 ** (first - 0xdd)));
      default:
        throw new Error(`a value that begins with 0x${first.toString(16)} has no place in this protocol`);
    }
  }

  #map(count: number): Decoded {
    const map: { [key: string]: Decoded } = {};
    for (let index = 0; index < count; index++) {
      const key = this.value();
      if (typeof key !== 'string') throw new Error('a key that is not text');
      map[key] = this.value();
    }
    return map;
  }

  #list(count: number): Decoded[] {
    return Array.from({ length: count }, () => this.value());
  }

  #text(length: number): string {
    return new TextDecoder('utf-8', { fatal: true }).decode(this.#bytes(length));
  }

  #bytes(length: number): Uint8Array {
    return this.#at(length, (at) =>
      new Uint8Array(this.#view.buffer, this.#view.byteOffset + at, length).slice(),
    );
  }

  #unsigned(length: number): number {
    return this.#at(length, (at) => {
      if (length === 1) return this.#view.getUint8(at);
      return length === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
    });
  }

  #at<T>(length: number, read: (at: number) => T): T {
    if (this.offset + length > this.#view.byteLength) throw new Error('cut short');
    const value = read(this.offset);
    this.offset += length;
    return value;
  }
}
