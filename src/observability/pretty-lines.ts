import { Writable } from 'node:stream';
import picocolors from 'picocolors';

/**
 * Log lines for a person at a terminal: `12:03:04.123 info  pool is full  pool=base ready=8`. Reads pino's JSON lines.
 * It exists so that the service needs no second logging package for its only human reader.
 */
export function prettyLines(out: { write(text: string): unknown }): Writable {
  return new Writable({
    decodeStrings: false,
    write(chunk: string | Buffer, _encoding, done) {
      for (const line of chunk.toString().split('\n')) {
        if (line !== '') out.write(`${prettyLine(line)}\n`);
      }
      done();
    },
  });
}

export function prettyLine(json: string): string {
  let record: Record<string, unknown>;
  try {
    record = JSON.parse(json) as Record<string, unknown>;
  } catch {
    return json;
  }
  const { level, time, msg, ...fields } = record;
  const clock =
    typeof time === 'string' ? new Date(time).toTimeString().slice(0, 8) + time.slice(19, 23) : '';
  const details = Object.entries(fields).flatMap(([name, value]) => describeField(name, value));
  return [picocolors.dim(clock), paintLevel(String(level)), String(msg ?? ''), details.join(' ')]
    .filter((part) => part !== '')
    .join(' ');
}

function describeField(name: string, value: unknown): string[] {
  if (isErrorFields(value)) {
    const cause = isErrorFields(value.cause) ? describeField('cause', value.cause) : [];
    const stack = (value.stack ?? []).map((frame) => `\n    ${picocolors.dim(frame)}`).join('');
    return [`${picocolors.dim(`${name}=`)}${JSON.stringify(value.message)}`, ...cause, stack].filter(
      (part) => part !== '',
    );
  }
  // Quoted as soon as there is anything a terminal might obey or a reader might misread.
  const text = typeof value === 'string' && /^[\w./:@-]+$/.test(value) ? value : JSON.stringify(value);
  return [`${picocolors.dim(`${name}=`)}${text}`];
}

interface ErrorFields {
  readonly message: string;
  readonly stack?: readonly string[];
  readonly cause?: unknown;
}

function isErrorFields(value: unknown): value is ErrorFields {
  return typeof value === 'object' && value !== null && 'type' in value && 'message' in value;
}

function paintLevel(level: string): string {
  const padded = level.padEnd(5);
  if (level === 'error' || level === 'fatal') return picocolors.red(padded);
  if (level === 'warn') return picocolors.yellow(padded);
  if (level === 'info') return picocolors.green(padded);
  return picocolors.dim(padded);
}
