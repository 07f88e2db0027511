import { WarmpoolError } from '../domain/errors.ts';
import * as limits from '../domain/limits.ts';
import type { PoolCatalog } from '../domain/pool-catalog.ts';
import type { SandboxRecord } from '../domain/sandbox.ts';
import type { GuestCommand, GuestProcess, OutputSink, ProcessExit } from '../guest-link/guest.ts';
import type { PoolStore } from '../store/pool-store.ts';
import type { ExecRequest, ExecResult, Principal, SpawnRequest } from './api.ts';
import { completeExec } from './command-defaults.ts';
import { abortError } from './create-sandbox.ts';
import { type GuestAccess, type GuestUse, useGuest } from './guest-use.ts';
import type { AllocatorObserver } from './observer.ts';
import { readOwned, type Vouch } from './read-owned.ts';
import { requireRunning } from './require-running.ts';
import { assertExecRequest, assertSpawnRequest } from './validation.ts';

/**
 * Runs commands in a sandbox, with what its claim customised applied: environment is the template's, then the claim's,
 * then the request's; user and cwd are the request's, else the claim's, else the template's.
 */
export class Executor {
  readonly #deps: ExecutorDeps;

  constructor(deps: ExecutorDeps) {
    this.#deps = deps;
  }

  async spawn(
    principal: Principal,
    request: SpawnRequest,
    output: OutputSink,
    signal: AbortSignal,
  ): Promise<GuestProcess> {
    assertSpawnRequest(request);
    const { catalog, observer } = this.#deps;
    const { sandboxId } = request;
    const record = requireRunning(await readOwned(this.#deps, sandboxId, principal.tenant), sandboxId);
    const use = await useGuest(this.#deps, record, signal).catch((error: unknown) => {
      throw signal.aborted ? abortError(signal) : error;
    });
    let starting: Promise<GuestProcess>;
    try {
      if (signal.aborted) throw abortError(signal);
      starting = use.guest.spawn(commandOf(catalog, record, request), output);
    } catch (error) {
      use.leave();
      throw error;
    }
    const followed = starting.then(
      (process) => {
        this.#used(record);
        this.#follow(process, use, signal);
        return process;
      },
      (error: unknown) => {
        observer.execEnded('refused', 0);
        use.leave();
        throw error;
      },
    );
    return unlessAborted(followed, signal);
  }

  /** Whoever gives up while it is being started is not made to wait for that: it is killed when it is there. */
  #follow(process: GuestProcess, use: GuestUse, signal: AbortSignal): void {
    const { observer } = this.#deps;
    const kill = () => process.signal(sigkill);
    signal.addEventListener('abort', kill, { once: true });
    if (signal.aborted) kill();
    process.exited
      .then((exit) => observer.execEnded(outcomeOf(exit), exit.durationUs / 1e6))
      .catch(() => observer.execEnded('lost', 0))
      .finally(() => {
        signal.removeEventListener('abort', kill);
        use.leave();
      });
  }

  /** A command is use, which extends the lease, at most once per tenth of its ttl (protocol/README.md 3.3). */
  #used({ id, claim, lease }: SandboxRecord): void {
    if (!claim || !lease || lease.remainingMs > lease.ttlMs * 0.9) return;
    // While the store is away the next command tries again.
    this.#deps.store.renew({ id, tenant: claim.tenant }, null, 'extend').catch(() => {});
  }

  async exec(principal: Principal, request: ExecRequest, signal: AbortSignal): Promise<ExecResult> {
    assertExecRequest(request);
    const limit = request.outputLimitBytes ?? limits.execOutputBytesDefault;
    const stdout = new BoundedOutput(limit);
    const stderr = new BoundedOutput(limit);
    // Output may come before spawn() has returned the process to release it to.
    let process: GuestProcess | undefined;
    let owedBytes = 0;
    const sink: OutputSink = {
      onOutput: (stream, bytes) => {
        (stream === 'stdout' ? stdout : stderr).add(bytes);
        if (process) process.release(bytes.length);
        else owedBytes += bytes.length;
      },
    };
    const hasStdin = request.stdin.length > 0;
    process = await this.spawn(principal, { ...request, stdin: hasStdin }, sink, signal);
    if (owedBytes > 0) process.release(owedBytes);
    if (hasStdin) {
      // A process that ends without reading its input is fine; a lost link shows in `exited`.
      process.writeStdin(request.stdin).catch(() => {});
      process.endStdin();
    }
    const exit = await unlessAborted(process.exited, signal);
    const cutBytes = stdout.cutBytes + stderr.cutBytes;
    if (cutBytes > 0) this.#deps.observer.dropped('output_bytes', cutBytes);
    return {
      ...exit,
      stdout: stdout.bytes(),
      stderr: stderr.bytes(),
      stdoutTruncated: stdout.cutBytes > 0,
      stderrTruncated: stderr.cutBytes > 0,
    };
  }
}

/** The abort if that comes first: neither a start nor a process that survives its SIGKILL holds the call. */
function unlessAborted<T>(promised: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(abortError(signal));
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    promised.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

export interface ExecutorDeps extends GuestAccess {
  readonly store: Pick<PoolStore, 'get' | 'renew'>;
  readonly catalog: PoolCatalog;
  readonly observer: AllocatorObserver;
  readonly vouch: Vouch;
}

/** Keeps the first `limit` bytes and counts the rest as cut. */
class BoundedOutput {
  readonly #limit: number;
  readonly #chunks: Buffer[] = [];
  #byteCount = 0;
  cutBytes = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(bytes: Buffer): void {
    const room = this.#limit - this.#byteCount;
    this.cutBytes += Math.max(0, bytes.length - room);
    if (room <= 0) return;
    this.#chunks.push(bytes.length > room ? bytes.subarray(0, room) : bytes);
    this.#byteCount += Math.min(bytes.length, room);
  }

  bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }
}

function commandOf(catalog: PoolCatalog, record: SandboxRecord, request: SpawnRequest): GuestCommand {
  const command = {
    argv: request.argv,
    ...completeExec(catalog, record, request),
    stdin: request.stdin,
    timeoutMs: request.timeoutMs ?? 0,
  };
  const bytes = Buffer.byteLength(JSON.stringify([command.argv, command.env]));
  if (bytes > limits.execBytesMax) {
    throw new WarmpoolError(
      'INVALID_REQUEST',
      `argv and env take ${bytes} bytes; at most ${limits.execBytesMax}`,
      {
        violations: [
          { field: 'argv', description: `argv and env together are over ${limits.execBytesMax} bytes` },
        ],
      },
    );
  }
  return command;
}

function outcomeOf(exit: ProcessExit): 'exited' | 'signalled' | 'timed_out' {
  if (exit.timedOut) return 'timed_out';
  return exit.signal === null ? 'exited' : 'signalled';
}

const sigkill = 9;
