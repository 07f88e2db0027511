import { join } from 'node:path';
import type { ClosingStack } from '../closing-stack.ts';
import type { Config } from '../config/config.ts';
import type { Clock } from '../domain/clock.ts';
import { isWarmpoolError } from '../domain/errors.ts';
import type { PoolSpec, RuntimeName } from '../domain/pool-spec.ts';
import type { Log } from '../observability/log.ts';
import { packageRoot } from '../package-root.ts';
import { BubblewrapRuntime } from '../runtime/bubblewrap/bubblewrap-runtime.ts';
import { DockerRuntime } from '../runtime/docker/docker-runtime.ts';
import type { SandboxRuntime } from '../runtime/sandbox-runtime.ts';
import { type Candidate, type Candidates, selectRuntime } from '../runtime/select-runtime.ts';

/** Looks at both runtimes and says once what each cannot enforce here. One that nobody may use stays silent. */
export async function inspectRuntimes(
  { config, clock, log }: { readonly config: Config; readonly clock: Clock; readonly log: Log },
  started: ClosingStack,
): Promise<Candidates> {
  const warn = (sentence: string) => log.warn({}, sentence);
  const { nodeId, stateFolder, dockerHost, dockerCertFolder: certFolder } = config;
  const guestPath = join(packageRoot(), 'guest', 'build', 'warmpool-guest');
  const inUse = new Set(
    config.pools.map(({ template }) => (template.runtime === 'auto' ? config.runtime : template.runtime)),
  );
  const inspected = async (name: RuntimeName, setUp: () => SandboxRuntime): Promise<Candidate> => {
    let runtime: SandboxRuntime;
    try {
      runtime = started.use(setUp());
    } catch (error) {
      // An address of an engine that cannot be used is no reason to refuse pools that need no engine.
      if (!isWarmpoolError(error)) throw error;
      return { usable: false, reason: error.message };
    }
    const report = await runtime.inspectHost();
    if (!report.usable) return report;
    if (inUse.has('auto') || inUse.has(name)) {
      log.info({ runtime: name, ...report.versions }, 'runtime found');
      for (const sentence of report.warnings) log.warn({ runtime: name }, sentence);
    }
    return { usable: true, runtime };
  };
  return {
    docker: await inspected(
      'docker',
      () => new DockerRuntime({ clock, warn }, { dockerHost, certFolder, nodeId, guestPath }),
    ),
    bubblewrap: await inspected(
      'bubblewrap',
      () => new BubblewrapRuntime({ clock, warn }, { stateFolder, nodeId, guestPath }),
    ),
  };
}

export async function assignRuntimes(
  pools: readonly PoolSpec[],
  { config, log }: { readonly config: Config; readonly log: Log },
  candidates: Candidates,
): Promise<Map<string, SandboxRuntime>> {
  const assigned = new Map<string, SandboxRuntime>();
  for (const pool of pools) {
    const selection = await selectRuntime(pool, config.runtime, candidates);
    if (selection.kind === 'selected') {
      assigned.set(pool.name, selection.runtime);
      log.info({ pool: pool.name, runtime: selection.runtime.name, why: selection.why }, 'runtime chosen');
    } else {
      log.error({ pool: pool.name, reason: selection.reason }, 'no runtime can carry this pool');
    }
  }
  return assigned;
}
