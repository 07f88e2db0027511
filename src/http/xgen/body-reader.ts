import { XgenFailure } from '../../data-plane/xgen/xgen-failure.ts';

/**
 * Reads a body member by member: `null` is absent, an absent one has its default, and a wrong one throws INVALID_PARAMETER
 * with its name. What was never asked for is left over, to be named in the answer.
 */
export class BodyReader {
  readonly #body: Readonly<Record<string, unknown>>;
  readonly #read = new Set<string>();
  readonly #ignored: string[] = [];

  constructor(body: Readonly<Record<string, unknown>>) {
    this.#body = body;
  }

  /** Members that nobody has asked for. */
  ignored(): readonly string[] {
    return [...Object.keys(this.#body).filter((name) => !this.#read.has(name)), ...this.#ignored];
  }

  /** A part of a member that means nothing here. */
  ignore(path: string): void {
    this.#ignored.push(path);
  }

  value(name: string): unknown {
    this.#read.add(name);
    return Object.hasOwn(this.#body, name) ? (this.#body[name] ?? undefined) : undefined;
  }

  text(name: string, missing: string | undefined): string {
    const value = this.value(name) ?? missing;
    if (value === undefined) throw invalid(name, undefined, { reason: 'missing' });
    if (typeof value !== 'string') throw invalid(name, value, { reason: 'must be a string' });
    return value;
  }

  boolean(name: string): boolean {
    const value = this.value(name) ?? false;
    if (typeof value !== 'boolean') throw invalid(name, value, { reason: 'must be true or false' });
    return value;
  }

  /** 0 means absent: the default. */
  integer(name: string, min: number, max: number): number | undefined {
    const value = this.value(name);
    if (value === undefined || value === 0) return undefined;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
      throw invalid(name, value, { min, max });
    }
    return value;
  }

  list(name: string): readonly unknown[] {
    const value = this.value(name) ?? [];
    if (!Array.isArray(value)) throw invalid(name, value, { reason: 'must be an array' });
    return value;
  }

  texts(name: string): readonly string[] {
    const list = this.list(name);
    if (!list.every((item) => typeof item === 'string')) {
      throw invalid(name, undefined, { reason: 'must be an array of strings' });
    }
    return list;
  }

  textMap(name: string): Readonly<Record<string, string>> {
    const value = this.value(name) ?? {};
    if (!isObject(value)) throw invalid(name, value, { reason: 'must be an object' });
    const entries = Object.entries(value).filter(([, item]) => item !== null);
    return Object.fromEntries(
      entries.map(([key, item]) => {
        if (typeof item !== 'string') throw invalid(`${name}.${key}`, item, { reason: 'must be a string' });
        return [key, item];
      }),
    );
  }
}

export function invalid(
  field: string,
  value: unknown,
  why: Readonly<Record<string, string | number | readonly string[]>>,
): XgenFailure {
  const shown = value === undefined ? {} : { value: String(value).slice(0, 100) };
  return new XgenFailure('INVALID_PARAMETER', `${field} is invalid`, { field, ...shown, ...why });
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
