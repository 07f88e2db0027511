import { type FieldViolation, invalidRequest } from '../domain/errors.ts';
import type { Duration__Output } from './gen/google/protobuf/Duration.ts';
import { type Parsed, parseDuration } from './parse-duration.ts';

/**
 * Collects what is wrong with the fields of one request while it is parsed, so that a caller learns of everything at
 * once. `done` throws INVALID_REQUEST if anything was.
 */
export class RequestFields {
  #violations: FieldViolation[] | null = null;

  violation(field: string, description: string): void {
    this.#violations ??= [];
    this.#violations.push({ field, description });
  }

  duration(field: string, wire: Duration__Output | null): number | undefined {
    return this.#valueOf(parseDuration(field, wire));
  }

  /** For fields whose default value cannot mean anything. */
  required(field: string, value: string): string {
    if (value === '') this.violation(field, 'is required');
    return value;
  }

  done(): void {
    if (this.#violations) throw invalidRequest(this.#violations);
  }

  #valueOf<T>(parsed: Parsed<T>): T | undefined {
    if ('value' in parsed) return parsed.value;
    this.violation(parsed.violation.field, parsed.violation.description);
    return undefined;
  }
}
