import type { Duration } from '../gen/google/protobuf/Duration.ts';
import type { Timestamp } from '../gen/google/protobuf/Timestamp.ts';

/** Milliseconds since the epoch as a Timestamp; fractions are kept to the microsecond. */
export function formatTimestamp(epochMs: number): Timestamp {
  return split(epochMs * 1_000);
}

/** A negative duration (a lease that has just run out) reads as none. */
export function formatDuration(durationMs: number): Duration {
  return split(Math.max(0, durationMs) * 1_000);
}

export function formatMicroseconds(durationUs: number): Duration {
  return split(durationUs);
}

function split(totalUs: number): { seconds: number; nanos: number } {
  const seconds = Math.floor(totalUs / 1e6);
  return { seconds, nanos: Math.round(totalUs - seconds * 1e6) * 1_000 };
}
