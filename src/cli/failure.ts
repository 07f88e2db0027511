import { ServiceUnreachableError } from '../client/client-errors.ts';
import { type ErrorCode, isWarmpoolError } from '../domain/errors.ts';
import { formatDuration } from './duration.ts';
import { printable } from './printable.ts';

/**
 * Exit codes. A command that ran gives its own; the others are those that shells, `env` and container tools use, so that
 * scripts need not tell warmpool apart.
 */
export const exitCodes = {
  usage: 2,
  timedOut: 124,
  warmpool: 125,
  notExecutable: 126,
  notFound: 127,
  /** Plus the signal's number. */
  signalled: 128,
} as const;

const exitCodeOf: Partial<Record<ErrorCode, number>> = {
  COMMAND_NOT_FOUND: exitCodes.notFound,
  COMMAND_NOT_EXECUTABLE: exitCodes.notExecutable,
};

/** A signal ended what was going on; whoever sent it knows. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  readonly signalNumber: number;

  constructor(signalNumber: number) {
    super('interrupted');
    this.signalNumber = signalNumber;
  }
}

/** Runs a command's action: what it throws becomes one line on stderr and an exit code. */
export function guarded<Arguments extends unknown[]>(
  action: (...given: Arguments) => Promise<void>,
): (...given: Arguments) => Promise<void> {
  return async (...given) => {
    try {
      await action(...given);
    } catch (error) {
      reportFailure(error);
    }
  };
}

export function reportFailure(error: unknown): void {
  if (error instanceof Interrupted) {
    process.exitCode = exitCodes.signalled + error.signalNumber;
    return;
  }
  process.stderr.write(`warmpool: ${describeFailure(error)}\n`);
  process.exitCode = (isWarmpoolError(error) && exitCodeOf[error.code]) || exitCodes.warmpool;
}

export function describeFailure(error: unknown): string {
  if (error instanceof ServiceUnreachableError) {
    return `${printable(error.message)}; start one with \`npm start\` or set WARMPOOL_ADDRESS`;
  }
  const message = printable(error instanceof Error ? error.message : String(error));
  if (!isWarmpoolError(error)) return message;
  if (error.code === 'UNAUTHENTICATED') return `${message} (set WARMPOOL_API_KEY)`;
  const { retryAfterMs } = error.details;
  return retryAfterMs === undefined ? message : `${message} (try again in ${formatDuration(retryAfterMs)})`;
}
