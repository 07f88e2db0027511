import { ServiceUnreachableError } from '../client/client-errors.ts';
import { WarmpoolClientError } from '../client/warmpool-client-error.ts';
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
  process.exitCode = exitCodeFor(error);
}

function exitCodeFor(error: unknown): number {
  if (isWarmpoolError(error)) return exitCodeOf[error.code] ?? exitCodes.warmpool;
  if (!(error instanceof WarmpoolClientError)) return exitCodes.warmpool;
  if (error.code === 'command_not_found') return exitCodes.notFound;
  return error.code === 'command_not_executable' ? exitCodes.notExecutable : exitCodes.warmpool;
}

/** Of an error of this machine's own system: what and why, instead of the call and its code. */
function systemFailure(error: unknown): string | null {
  if (!(error instanceof Error && 'path' in error && 'syscall' in error)) return null;
  const why = /^[A-Z0-9]+: (.*?), /.exec(error.message)?.[1];
  return why === undefined ? null : printable(`${error.path}: ${why}`);
}

export function describeFailure(error: unknown): string {
  const ofSystem = systemFailure(error);
  if (ofSystem !== null) return ofSystem;
  if (error instanceof ServiceUnreachableError) {
    return `${printable(error.message)}; start one with \`npm start\` or set WARMPOOL_ADDRESS`;
  }
  const message = printable(error instanceof Error ? error.message : String(error));
  if (error instanceof WarmpoolClientError) return describeClientError(error, message);
  if (!isWarmpoolError(error)) return message;
  const next = nextSteps[error.code];
  if (next !== undefined) return `${message} (${next})`;
  const { retryAfterMs } = error.details;
  return retryAfterMs === undefined ? message : `${message} (try again in ${formatDuration(retryAfterMs)})`;
}

const nextSteps: Partial<Record<ErrorCode, string>> = {
  UNAUTHENTICATED: 'set WARMPOOL_API_KEY',
  TEMPLATE_NOT_FOUND: 'warmpool pools shows them',
  SANDBOX_NOT_FOUND: 'warmpool ls shows yours',
};

/** What to do about it, where there is something to do. */
function describeClientError(error: WarmpoolClientError, message: string): string {
  const { code } = error;
  if (code === 'unauthenticated') return `${message} (set WARMPOOL_API_KEY)`;
  if (code === 'unavailable' || code === 'too_many_connections') return `${message} (try again in a moment)`;
  if (code === 'sandbox_ended') return `${message} (warmpool create makes another)`;
  return message;
}
