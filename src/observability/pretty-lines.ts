import { Writable } from 'node:stream';
import picocolors from 'picocolors';

type Colors = ReturnType<typeof picocolors.createColors>;

/**
 * Log lines for a person at a terminal: `12:03:04.123 info  pool is full  pool=base ready=8`. Reads pino's JSON lines.
 * It exists so that the service needs no second logging package for its only human reader.
 */
export function prettyLines(
  out: { write(text: string): unknown },
  options: { readonly colors: boolean },
): Writable {
  const colors = picocolors.createColors(options.colors);
  return new Writable({
    decodeStrings: false,
    write(chunk: string | Buffer, _encoding, done) {
      for (const line of chunk.toString().split('\n')) {
        if (line !== '') out.write(`${prettyLine(line, colors)}\n`);
      }
      done();
    },
  });
}

function prettyLine(json: string, colors: Colors): string {
  let record: Record<string, unknown>;
  try {
    record = JSON.parse(json) as Record<string, unknown>;
  } catch {
    return json;
  }
  const { level, time, msg, ...fields } = record;
  const clock =
    typeof time === 'string' ? new Date(time).toTimeString().slice(0, 8) + time.slice(19, 23) : '';
  const details = Object.entries(fields).flatMap(([name, value]) => describeField(name, value, colors));
  return [colors.dim(clock), paintLevel(String(level), colors), String(msg ?? ''), details.join(' ')]
    .filter((part) => part !== '')
    .join(' ');
}

function describeField(name: string, value: unknown, colors: Colors): string[] {
  if (isErrorFields(value)) {
    const cause = isErrorFields(value.cause) ? describeField('cause', value.cause, colors) : [];
    const stack = (value.stack ?? []).map((frame) => `\n    ${colors.dim(frame)}`).join('');
    return [`${colors.dim(`${name}=`)}${JSON.stringify(value.message)}`, ...cause, stack].filter(
      (part) => part !== '',
    );
  }
  // Quoted as soon as there is anything a terminal might obey or a reader might misread.
  const text = typeof value === 'string' && /^[\w./:@-]+$/.test(value) ? value : JSON.stringify(value);
  return [`${colors.dim(`${name}=`)}${text}`];
}

interface ErrorFields {
  readonly message: string;
  readonly stack?: readonly string[];
  readonly cause?: unknown;
}

function isErrorFields(value: unknown): value is ErrorFields {
  return typeof value === 'object' && value !== null && 'type' in value && 'message' in value;
}

function paintLevel(level: string, colors: Colors): string {
  const padded = level.padEnd(5);
  if (level === 'error' || level === 'fatal') return colors.red(padded);
  if (level === 'warn') return colors.yellow(padded);
  if (level === 'info') return colors.green(padded);
  return colors.dim(padded);
}
