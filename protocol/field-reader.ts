import type { ParseResult } from './parse-result.ts';

/**
 * Reads the fields of one decoded message and remembers the first that is wrong. A wrong field reads as an empty value,
 * so that a parser is one expression; `result` gives that expression back only if every field was right.
 */
export class FieldReader {
  readonly #map: Readonly<Record<string, unknown>>;
  #error: string | undefined;

  constructor(map: Readonly<Record<string, unknown>>) {
    this.#map = map;
  }

  has(key: string): boolean {
    return Object.hasOwn(this.#map, key);
  }

  integer(key: string, min: number, max: number): number {
    const value = this.#read(key);
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max)
      return value;
    return this.#wrong(key, `not an integer from ${min} to ${max}`, 0);
  }

  text(key: string): string {
    const value = this.#read(key);
    return typeof value === 'string' ? value : this.#wrong(key, 'not text', '');
  }

  boolean(key: string): boolean {
    const value = this.#read(key);
    return typeof value === 'boolean' ? value : this.#wrong(key, 'not true or false', false);
  }

  /** A copy: the decoded value is a view on a frame that may be reused. */
  bytes(key: string, length: number): Uint8Array {
    const value = this.#read(key);
    if (value instanceof Uint8Array && value.length === length) return new Uint8Array(value);
    return this.#wrong(key, `not ${length} bytes`, new Uint8Array(0));
  }

  texts(key: string, min: number, max: number): readonly string[] {
    const value = this.#read(key);
    if (Array.isArray(value) && value.length >= min && value.length <= max && value.every(isText))
      return value;
    return this.#wrong(key, `not ${min} to ${max} texts`, []);
  }

  textMap(key: string, max: number): Readonly<Record<string, string>> {
    const value = this.#read(key);
    if (isTextMap(value, max)) return value;
    return this.#wrong(key, `not a map of text with at most ${max} entries`, {});
  }

  fail(sentence: string): void {
    this.#error ??= sentence;
  }

  result<T>(value: T): ParseResult<T> {
    return this.#error === undefined ? { value } : { error: this.#error };
  }

  #read(key: string): unknown {
    return this.has(key) ? this.#map[key] : undefined;
  }

  #wrong<T>(key: string, sentence: string, substitute: T): T {
    this.fail(`${key}: ${this.has(key) ? sentence : 'missing'}`);
    return substitute;
  }
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isTextMap(value: unknown, entriesMax: number): value is Record<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array) {
    return false;
  }
  const values = Object.values(value);
  return values.length <= entriesMax && values.every(isText);
}
