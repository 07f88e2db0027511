import { u32Max, windowBytesMax } from './limits.ts';
import type { ParseResult } from './parse-result.ts';
import { brokenPath, pathOfBytes, type WirePath } from './wire-path.ts';

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

  /** The field as `read` reads it, or undefined when the key is absent. */
  optional<T>(key: string, read: (key: string) => T): T | undefined {
    return this.has(key) ? read(key) : undefined;
  }

  integer(key: string, min: number, max: number): number {
    const value = this.#read(key);
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max)
      return value;
    return this.#wrong(key, `not an integer from ${min} to ${max}`, 0);
  }

  readonly u32 = (key: string): number => this.integer(key, 0, u32Max);

  /** As far as a number counts exactly; nothing honest gets there. */
  readonly u64 = (key: string): number => this.integer(key, 0, Number.MAX_SAFE_INTEGER);

  /** Output credit to begin with: a key that every opening map and its Ack may have. */
  readonly window = (key: string): number => this.integer(key, 1, windowBytesMax);

  readonly text = (key: string): string => {
    const value = this.#read(key);
    return typeof value === 'string' ? value : this.#wrong(key, 'not text', '');
  };

  readonly boolean = (key: string): boolean => {
    const value = this.#read(key);
    return typeof value === 'boolean' ? value : this.#wrong(key, 'not true or false', false);
  };

  choice<T extends string>(key: string, choices: readonly T[]): T {
    const value = this.#read(key);
    const chosen = choices.find((choice) => choice === value);
    const [substitute] = choices;
    if (chosen !== undefined) return chosen;
    if (substitute === undefined) throw new Error('assertion failed: a choice has choices');
    return this.#wrong(key, `none of ${choices.join(', ')}`, substitute);
  }

  /** A copy: the decoded value is a view on a frame that may be reused. */
  bytes(key: string, length: number): Uint8Array {
    const value = this.#read(key);
    if (value instanceof Uint8Array && value.length === length) return new Uint8Array(value);
    return this.#wrong(key, `not ${length} bytes`, new Uint8Array(0));
  }

  readonly path = (key: string): WirePath => this.#path(key, false);

  /** A path that may be empty: the watched place itself. */
  readonly pathOrEmpty = (key: string): WirePath => this.#path(key, true);

  texts(key: string, min: number, max: number): readonly string[] {
    const value = this.#read(key);
    if (Array.isArray(value) && value.length >= min && value.length <= max && value.every(isText))
      return value;
    return this.#wrong(key, `not ${min} to ${max} texts`, []);
  }

  integers(key: string, entriesMax: number, min: number, max: number): readonly number[] {
    const value = this.#read(key);
    const isInRange = (entry: unknown) =>
      Number.isInteger(entry) && Number(entry) >= min && Number(entry) <= max;
    if (Array.isArray(value) && value.length <= entriesMax && value.every(isInRange)) return value;
    return this.#wrong(key, `not at most ${entriesMax} integers from ${min} to ${max}`, []);
  }

  textMap(key: string, max: number): Readonly<Record<string, string>> {
    const value = this.#read(key);
    if (isTextMap(value, max)) return value;
    return this.#wrong(key, `not a map of text with at most ${max} entries`, {});
  }

  /** A map inside this one; what is wrong in it is told with its key in front. */
  map<T>(key: string, read: (fields: FieldReader) => T): T {
    const value = this.#read(key);
    if (!isMap(value)) this.fail(`${key}: ${this.has(key) ? 'not a map' : 'missing'}`);
    return this.#inner(key, isMap(value) ? value : {}, read);
  }

  maps<T>(key: string, max: number, read: (fields: FieldReader) => T): readonly T[] {
    const value = this.#read(key);
    if (Array.isArray(value) && value.length <= max && value.every(isMap)) {
      return value.map((entry) => this.#inner(key, entry, read));
    }
    return this.#wrong(key, `not at most ${max} maps`, []);
  }

  fail(sentence: string): void {
    this.#error ??= sentence;
  }

  result<T>(value: T): ParseResult<T> {
    return this.#error === undefined ? { value } : { error: this.#error };
  }

  #path(key: string, emptyAllowed: boolean): WirePath {
    const value = this.#read(key);
    if (typeof value !== 'string' && !(value instanceof Uint8Array))
      return this.#wrong(key, 'not a path', '');
    const path = typeof value === 'string' ? value : pathOfBytes(value);
    const broken = brokenPath(path, emptyAllowed);
    return broken === undefined ? path : this.#wrong(key, broken, '');
  }

  #inner<T>(key: string, map: Readonly<Record<string, unknown>>, read: (fields: FieldReader) => T): T {
    const fields = new FieldReader(map);
    const value = read(fields);
    const result = fields.result(value);
    if ('error' in result) this.fail(`${key}: ${result.error}`);
    return value;
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

function isMap(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
  );
}

function isTextMap(value: unknown, entriesMax: number): value is Record<string, string> {
  if (!isMap(value)) return false;
  const values = Object.values(value);
  return values.length <= entriesMax && values.every(isText);
}
