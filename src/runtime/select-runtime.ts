import { isWarmpoolError } from '../domain/errors.ts';
import type { PoolSpec, RuntimeName } from '../domain/pool-spec.ts';
import type { SandboxRuntime } from './sandbox-runtime.ts';

/** A runtime that this host can use, or why it cannot. */
export type Candidate =
  | { readonly usable: true; readonly runtime: SandboxRuntime }
  | { readonly usable: false; readonly reason: string };

export type Candidates = Readonly<Record<RuntimeName, Candidate>>;

export type Selection =
  | { readonly kind: 'selected'; readonly runtime: SandboxRuntime; readonly why: string }
  | { readonly kind: 'none'; readonly reason: string };

/**
 * Chooses what a pool runs on. A runtime that is named (by the template, else by WARMPOOL_RUNTIME) is that one or
 * nothing. `auto` is Docker when an engine answers and the template's image is there, else bubblewrap. Isolation is
 * never lost in silence: with neither there is no selection, only a sentence that says what was missing.
 */
export async function selectRuntime(
  pool: PoolSpec,
  preference: 'auto' | RuntimeName,
  candidates: Candidates,
): Promise<Selection> {
  const { template } = pool;
  const named = template.runtime === 'auto' ? preference : template.runtime;
  if (named !== 'auto') {
    const candidate = candidates[named];
    if (candidate.usable)
      return { kind: 'selected', runtime: candidate.runtime, why: `${named} is asked for` };
    return { kind: 'none', reason: `${named} is asked for but cannot be used: ${candidate.reason}` };
  }
  const { docker, bubblewrap } = candidates;
  const noDocker = docker.usable ? await whyNotPrepared(docker.runtime, pool) : docker.reason;
  if (docker.usable && noDocker === null)
    return { kind: 'selected', runtime: docker.runtime, why: 'an engine answers and has the image' };
  if (bubblewrap.usable) return { kind: 'selected', runtime: bubblewrap.runtime, why: noDocker ?? '' };
  return { kind: 'none', reason: `docker: ${noDocker}; bubblewrap: ${bubblewrap.reason}` };
}

async function whyNotPrepared(runtime: SandboxRuntime, pool: PoolSpec): Promise<string | null> {
  try {
    await runtime.prepare(pool.template);
    return null;
  } catch (error) {
    if (isWarmpoolError(error)) return error.message;
    throw error;
  }
}
