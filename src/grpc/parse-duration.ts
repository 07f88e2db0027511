import type { FieldViolation } from '../domain/errors.ts';
import type { Duration__Output } from './gen/google/protobuf/Duration.ts';

/** The range of google.protobuf.Duration: ±10,000 years. */
const secondsMax = 315_576_000_000;

export type Parsed<T> = { readonly value: T } | { readonly violation: FieldViolation };

/**
 * A Duration as whole milliseconds, rounded up so that a short one never becomes none; undefined when it is absent.
 * Whether it is too long for its purpose is for the use case to say.
 */
export function parseDuration(field: string, duration: Duration__Output | null): Parsed<number | undefined> {
  if (duration === null) return { value: undefined };
  const { seconds, nanos } = duration;
  const outOfRange = Math.abs(seconds) > secondsMax || Math.abs(nanos) > 999_999_999;
  if (outOfRange || (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0)) {
    return {
      violation: {
        field,
        description:
          'is not a valid duration: seconds within ±315576000000, nanos within ±999999999, of one sign',
      },
    };
  }
  if (seconds < 0 || nanos < 0) return { violation: { field, description: 'must not be negative' } };
  return { value: seconds * 1_000 + Math.ceil(nanos / 1e6) };
}
