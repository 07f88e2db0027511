import { type ErrorCode, isWarmpoolError, WarmpoolError } from '../../domain/errors.ts';

/** The HTTP status the engine answered with; null when it did not answer. */
export function engineStatus(error: unknown): number | null {
  if (typeof error !== 'object' || error === null || !('statusCode' in error)) return null;
  return typeof error.statusCode === 'number' ? error.statusCode : null;
}

/**
 * The one place that reads errors of the engine client. No answer at all means that the engine is away; any answer
 * means that it would not do this, which `refusedCode` names.
 */
export function classifyEngineError(error: unknown, doing: string, refusedCode: ErrorCode): WarmpoolError {
  if (isWarmpoolError(error)) return error;
  const status = engineStatus(error);
  const said = engineMessage(error);
  if (status === null || status === 503) {
    return new WarmpoolError(
      'RUNTIME_UNAVAILABLE',
      `docker: the engine did not answer while ${doing}: ${said}`,
      {},
      {
        cause: error,
      },
    );
  }
  return new WarmpoolError(refusedCode, `docker: ${doing} failed: ${said}`, {}, { cause: error });
}

/** The engine's own sentence, without the client library's wrapping. */
function engineMessage(error: unknown): string {
  if (typeof error !== 'object' || error === null) return String(error);
  if ('json' in error && typeof error.json === 'object' && error.json !== null && 'message' in error.json) {
    return String(error.json.message).slice(0, messageCharactersMax);
  }
  return (error instanceof Error ? error.message : String(error)).slice(0, messageCharactersMax);
}

/** OCI runtimes put whole stacks into their errors. */
const messageCharactersMax = 500;
