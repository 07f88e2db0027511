import picocolors from 'picocolors';
import { pino } from 'pino';
import type { Log } from './log.ts';
import { prettyLines } from './pretty-lines.ts';
import { safeFields } from './safe-fields.ts';

export interface LoggerOptions {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** Where lines go; standard output when absent. */
  readonly out?: { write(text: string): unknown };
  /** Lines for people instead of JSON; absent: when standard output is a terminal. */
  readonly pretty?: boolean;
}

export interface Logger extends Log {
  /** The same log with these fields on every line. */
  with(fields: object): Logger;
}

/**
 * The service's log: JSON lines, or lines for people on a terminal. Every field goes through `safeFields`. Writes are
 * synchronous: a line that was logged is out even when the process dies in the next instruction.
 */
export function createLogger(options: LoggerOptions): Logger {
  const out = options.out ?? standardOutput();
  const isTerminal = options.out === undefined && process.stdout.isTTY === true;
  const pretty = options.pretty ?? isTerminal;
  return new PinoLogger(
    pino(
      {
        level: options.level,
        base: null,
        timestamp: pino.stdTimeFunctions.isoTime,
        formatters: { level: (label) => ({ level: label }), log: safeFields },
        // Errors are made safe with the other fields; pino's own serializer would print everything they carry.
        serializers: { err: (error: unknown) => error },
      },
      pretty
        ? prettyLines(out, { colors: isTerminal && picocolors.isColorSupported })
        : { write: (line: string) => void out.write(line) },
    ),
  );
}

class PinoLogger implements Logger {
  readonly #pino: pino.Logger;

  constructor(logger: pino.Logger) {
    this.#pino = logger;
  }

  debug(fields: object, message: string): void {
    this.#pino.debug(fields, message);
  }

  info(fields: object, message: string): void {
    this.#pino.info(fields, message);
  }

  warn(fields: object, message: string): void {
    this.#pino.warn(fields, message);
  }

  error(fields: object, message: string): void {
    this.#pino.error(fields, message);
  }

  with(fields: object): Logger {
    return new PinoLogger(this.#pino.child(safeFields(fields)));
  }
}

/** Who reads our output may go away (`warmpool serve | head`); that must not end the service. */
function standardOutput(): { write(text: string): unknown } {
  const destination = pino.destination({ dest: 1, sync: true });
  destination.on('error', () => {});
  return destination;
}
