import type { ParseResult } from './parse-result.ts';

/**
 * Reads the fields of a message that many different encoders write: nil is absent, text may come as bytes, and a whole
 * number in any form it was written in. Remembers the first field that is wrong and gives an empty value for it, so that
 * a parser is one expression; `result` gives that expression back only if every field was right.
 */
export class LenientFields {
  readonly #map: Readonly<Record<string, unknown>>;
  #error: string | undefined;

  constructor(map: Readonly<Record<string, unknown>>) {
    this.#map = map;
  }

  text(key: string): string {
    return this.optionalText(key) ?? this.#wrong(key, 'missing', '');
  }

  optionalText(key: string): string | undefined {
    const value = this.#read(key);
    if (value === undefined) return undefined;
    return asText(value) ?? this.#wrong(key, 'not text', '');
  }

  texts(key: string): readonly string[] {
    const value = this.#read(key) ?? [];
    if (!Array.isArray(value)) return this.#wrong(key, 'not a list', []);
    return value.map((item) => asText(item) ?? this.#wrong(key, 'not a list of text', ''));
  }

  textMap(key: string): Readonly<Record<string, string>> {
    const value = this.#read(key) ?? {};
    if (!isMap(value)) return this.#wrong(key, 'not a map', {});
    const entries = Object.entries(value).filter(([, item]) => item !== null);
    return Object.fromEntries(
      entries.map(([name, item]) => [name, asText(item) ?? this.#wrong(key, 'not a map of text', '')]),
    );
  }

  integer(key: string, min: number, max: number): number | undefined {
    const value = this.#read(key);
    if (value === undefined) return undefined;
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max)
      return value;
    return this.#wrong(key, `not an integer from ${min} to ${max}`, min);
  }

  boolean(key: string): boolean {
    const value = this.#read(key) ?? false;
    return typeof value === 'boolean' ? value : this.#wrong(key, 'not true or false', false);
  }

  /** A view on the message where bytes were sent. */
  bytes(key: string): Uint8Array {
    const value = this.#read(key);
    if (value instanceof Uint8Array) return value;
    if (typeof value === 'string') return new TextEncoder().encode(value);
    return this.#wrong(key, value === undefined ? 'missing' : 'not bytes', new Uint8Array(0));
  }

  result<T>(value: T): ParseResult<T> {
    return this.#error === undefined ? { value } : { error: this.#error };
  }

  #read(key: string): unknown {
    return Object.hasOwn(this.#map, key) ? (this.#map[key] ?? undefined) : undefined;
  }

  #wrong<T>(key: string, sentence: string, substitute: T): T {
    this.#error ??= `${key}: ${sentence}`;
    return substitute;
  }
}

function asText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return value instanceof Uint8Array ? new TextDecoder().decode(value) : undefined;
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
  );
}
