import type { Clock } from '../domain/clock.ts';
import { templateEnvironment } from '../domain/environment.ts';
import { isWarmpoolError, WarmpoolError } from '../domain/errors.ts';
import type { TemplateSpec } from '../domain/pool-spec.ts';
import type { EndReason } from '../domain/sandbox.ts';
import { failpoint } from '../failpoints.ts';
import type { Guest } from '../guest-link/guest.ts';
import type { BootedSandbox, SandboxRuntime } from '../runtime/sandbox-runtime.ts';

/** A guest and the way to let go of its link. */
export interface LinkedGuest extends Guest {
  close(): void;
}

export type OpenGuest = (booted: BootedSandbox) => Promise<LinkedGuest>;

/**
 * Boots one sandbox up to the point where it may be handed out: object, guest link, warm-up commands, readiness check.
 * On failure or abort nothing of it is left as far as the runtime answers, and the error is BOOT_FAILED, IMAGE_MISSING or
 * RUNTIME_UNAVAILABLE.
 */
export async function bootSandbox(
  deps: { runtime: SandboxRuntime; openGuest: OpenGuest; clock: Clock },
  request: { sandboxId: string; pool: string; storeId: string; template: TemplateSpec },
  signal: AbortSignal,
): Promise<LinkedGuest> {
  const { runtime, clock } = deps;
  const { template, sandboxId } = request;
  const overdue = new AbortController();
  const cancelTimer = clock.after(template.bootTimeoutMs, () =>
    overdue.abort(
      new WarmpoolError('BOOT_FAILED', `the boot did not finish within ${template.bootTimeoutMs / 1_000} s`),
    ),
  );
  const either = AbortSignal.any([signal, overdue.signal]);
  let guest: LinkedGuest | undefined;
  try {
    await orAborted(runtime.prepare(template), either);
    const booted = await runtime.boot(request, either);
    guest = await orAborted(deps.openGuest(booted), either);
    failpoint('link');
    for (const argv of template.warmup) await runStep(guest, template, 'warmup', argv, either);
    await runStep(guest, template, 'ready', template.ready.exec, either);
    return guest;
  } catch (error) {
    // What a runtime says of a boot that it had to give up is not why.
    const why = overdue.signal.aborted && !signal.aborted ? overdue.signal.reason : error;
    guest?.close();
    // The reason is told, whatever becomes of the rest: the supervisor removes once more, then the reconciler.
    await runtime.destroy(sandboxId).catch(() => {});
    throw asBootError(why);
  } finally {
    cancelTimer();
  }
}

/** One command as the template's user; it must exit 0. */
async function runStep(
  guest: Guest,
  template: TemplateSpec,
  step: 'warmup' | 'ready',
  argv: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const tail: Buffer[] = [];
  let tailBytes = 0;
  const command = {
    argv,
    env: templateEnvironment(template),
    cwd: template.cwd,
    user: template.user,
    stdin: false,
    timeoutMs: template.bootTimeoutMs,
  };
  let release: (byteCount: number) => void = () => {};
  let owed = 0;
  const process = await orAborted(
    guest.spawn(command, {
      onOutput: (_stream, bytes) => {
        if (tailBytes < outputTailBytes) tail.push(bytes.subarray(0, outputTailBytes - tailBytes));
        tailBytes += bytes.length;
        owed += bytes.length;
        release(bytes.length);
      },
    }),
    signal,
  );
  release = (byteCount) => process.release(byteCount);
  if (owed > 0) process.release(owed);
  const exit = await orAborted(process.exited, signal);
  if (exit.exitCode === 0) return;
  const how = exit.timedOut
    ? 'timed out'
    : exit.signal !== null
      ? `was ended by signal ${exit.signal}`
      : `exited with ${exit.exitCode}`;
  const output = Buffer.concat(tail).toString('utf8').trim();
  throw new WarmpoolError(
    'BOOT_FAILED',
    `${step} command ${JSON.stringify(argv)} ${how}${output ? `: ${output}` : ''}`,
  );
}

function asBootError(error: unknown): WarmpoolError {
  if (isWarmpoolError(error) && keptCodes.has(error.code)) return error;
  const sentence = error instanceof Error ? error.message : String(error);
  return new WarmpoolError('BOOT_FAILED', `the sandbox did not boot: ${sentence}`, {}, { cause: error });
}

/** What the record says of it: the allocator that answers for a cold start may be another process. */
export function bootEndReason(error: unknown): EndReason {
  const code = isWarmpoolError(error) ? error.code : 'BOOT_FAILED';
  if (code === 'IMAGE_MISSING') return 'image_missing';
  return code === 'RUNTIME_UNAVAILABLE' ? 'runtime_unavailable' : 'boot_failed';
}

const keptCodes: ReadonlySet<string> = new Set([
  'BOOT_FAILED',
  'IMAGE_MISSING',
  'RUNTIME_UNAVAILABLE',
  'CANCELLED',
]);
/** Enough of a failed step's output to see why, small enough for a log line. */
const outputTailBytes = 512;

/** The promise, or the signal's reason if that comes first; the promise's own late failure is not lost on nobody. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  promise.catch(() => {});
  if (signal.aborted) return Promise.reject(signal.reason);
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
