import { isMap, isScalar, LineCounter, type Node, parseDocument } from 'yaml';
import type { z } from 'zod';
import { didYouMean } from './closest-name.ts';
import type { ConfigIssue } from './config-error.ts';

/** A configuration file is written by hand; one that is bigger than this is something else. */
const yamlBytesMax = 262_144;

/**
 * One YAML file, read into plain data, that still knows on which line each value stands: a schema checks the data and
 * says paths, this says places. An empty file is an empty mapping.
 */
export class YamlSource {
  readonly name: string;
  readonly #document: ReturnType<typeof parseDocument>;
  readonly #lines: LineCounter;

  private constructor(name: string, document: ReturnType<typeof parseDocument>, lines: LineCounter) {
    this.name = name;
    this.#document = document;
    this.#lines = lines;
  }

  static parse(
    name: string,
    text: string,
  ):
    | { readonly source: YamlSource; readonly data: Record<string, unknown> }
    | { readonly issues: ConfigIssue[] } {
    if (text.length > yamlBytesMax) {
      return { issues: [{ source: name, field: '', message: `is over ${yamlBytesMax} characters` }] };
    }
    const lines = new LineCounter();
    const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
    const source = new YamlSource(name, document, lines);
    const syntax = [...document.errors, ...document.warnings];
    if (syntax.length > 0) {
      return {
        issues: syntax.map((error) => ({
          source: source.#placeOfOffset(error.pos[0]),
          field: '',
          message: error.message,
        })),
      };
    }
    const broken = (message: string) => ({ issues: [{ source: name, field: '', message }] });
    let data: unknown;
    try {
      data = document.toJS() ?? {};
    } catch (error) {
      // Too many aliases: the one thing that parses and cannot be expanded.
      return broken(error instanceof Error ? error.message : 'cannot be expanded');
    }
    if (!isRecord(data)) return broken('must be a mapping of fields');
    return { source, data };
  }

  /** `file:line:column` of the value at a path, or of the nearest thing around it that was written. */
  placeOf(path: readonly PropertyKey[]): string {
    for (let length = path.length; length > 0; length--) {
      const node = this.#document.getIn(path.slice(0, length), true) as Node | undefined;
      if (node?.range) return this.#placeOfOffset(node.range[0]);
    }
    return this.name;
  }

  placeOfKey(path: readonly PropertyKey[], key: string): string {
    const map = path.length === 0 ? this.#document.contents : this.#document.getIn(path, true);
    if (isMap(map)) {
      for (const pair of map.items) {
        if (isScalar(pair.key) && String(pair.key.value) === key && pair.key.range) {
          return this.#placeOfOffset(pair.key.range[0]);
        }
      }
    }
    return this.placeOf(path);
  }

  #placeOfOffset(offset: number): string {
    const { line, col } = this.#lines.linePos(offset);
    return `${this.name}:${line}:${col}`;
  }
}

/** Where things were said, for a schema that only knows paths. */
export interface IssuePlace {
  ofValue(path: readonly PropertyKey[]): string;
  ofKey(path: readonly PropertyKey[], key: string): string;
  knownKeys(path: readonly PropertyKey[]): readonly string[];
}

/** Turns what a schema found into issues with places; an unknown key gets the name it was probably meant to be. */
export function issuesOf(error: z.ZodError, place: IssuePlace): ConfigIssue[] {
  return error.issues.flatMap((issue) => {
    if (issue.code !== 'unrecognized_keys') {
      const message =
        issue.code === 'invalid_key' ? (issue.issues[0]?.message ?? issue.message) : issue.message;
      return [{ source: place.ofValue(issue.path), field: fieldName(issue.path), message }];
    }
    return issue.keys.map((key) => ({
      source: place.ofKey(issue.path, key),
      field: fieldName([...issue.path, key]),
      message: `is not a field${didYouMean(key, place.knownKeys(issue.path))}`,
    }));
  });
}

/** `size.minReady`, `ready.exec[0]`. */
function fieldName(path: readonly PropertyKey[]): string {
  return path.reduce<string>((name, part) => {
    if (typeof part === 'number') return `${name}[${part}]`;
    return name === '' ? String(part) : `${name}.${String(part)}`;
  }, '');
}

function isRecord(data: unknown): data is Record<string, unknown> {
  return typeof data === 'object' && data !== null && !Array.isArray(data);
}
