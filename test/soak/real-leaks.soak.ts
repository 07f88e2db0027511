import assert from 'node:assert/strict';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { describe, test } from 'node:test';
import { connect } from '../../src/client/grpc-client.ts';
import { ServiceFolder, TestService } from '../support/service.ts';
import { tracesOf, untilNoTraces } from '../support/traces.ts';
import { until } from '../support/until.ts';
import { eachRuntime } from './each-runtime.ts';

/**
 * T21: sandboxes are made, used and ended thousands of times (`WARMPOOL_TEST_CYCLES`: 2,000 on bubblewrap, a tenth of it on
 * docker); what the service and the host hold is what it was. `WARMPOOL_TEST_RUNTIMES` (bubblewrap,docker) says on what.
 */

const cyclesAsked = Number(process.env.WARMPOOL_TEST_CYCLES ?? 2_000);
const atOnce = 4;

for (const { name: runtime, dockerHost, env } of await eachRuntime()) {
  describe(`T21 on ${runtime}`, () => {
    const cycles = runtime === 'docker' ? Math.ceil(cyclesAsked / 10) : cyclesAsked;
    test(`T21 I6 I13 ${cycles} sandboxes leave no mount, group, namespace, descriptor, watch or folder`, async (context) => {
      const pool = {
        name: 'base',
        template: { resources: { cpu: 1, memoryMb: 64, diskMb: 16, pids: 32 } },
        size: { minReady: 4, maxReady: 4, maxTotal: 24, targetHitRatio: 0 },
        lease: { ttl: '5m' },
      };
      using folder = new ServiceFolder([pool]);
      await using service = await TestService.start({ pools: [], folder, env });
      using client = connect(service.grpc);
      const cycle = async () => {
        const { id } = await client.create('base');
        const said = await client.exec({ sandboxId: id, argv: ['sh', '-c', 'echo $$ >here && cat here'] });
        assert.equal(said.exitCode, 0);
        await client.delete(id);
      };
      const many = async (count: number) => {
        let left = count;
        const loop = async () => {
          for (; left > 0; left -= 1) await cycle();
        };
        await Promise.all(Array.from({ length: atOnce }, loop));
        // The pool alone: what is held for it is the same every time.
        await until(async () => {
          const { ready, live } = await client.pool('base');
          return ready === 4 && live === 4;
        }, 'the pool to be full, and nothing else there');
      };
      await many(Math.min(50, cycles));
      const held = () => holdingsOf(service.process.pid, folder, dockerHost);
      const before = await held();
      await many(cycles);
      let after = await held();
      // What is only on its way out gets some time.
      await until(
        async () => {
          after = await held();
          return Object.entries(after).every(([what, count]) => count <= (before[what] ?? 0));
        },
        () => `before ${JSON.stringify(before)}, after ${cycles} cycles ${JSON.stringify(after)}`,
      );
      context.diagnostic(`${cycles} cycles: ${JSON.stringify(after)}, before ${JSON.stringify(before)}`);
      await client.scalePool('base', { minReady: 0, maxReady: 0 });
      await untilNoTraces(folder, dockerHost);
    });
  });
}

async function holdingsOf(
  pid: number | undefined,
  folder: ServiceFolder,
  dockerHost: string | null,
): Promise<Record<string, number>> {
  const traces = await tracesOf(folder, dockerHost);
  const descriptors = readdirSync(`/proc/${pid}/fd`).map((fd) => linkOf(`/proc/${pid}/fd/${fd}`));
  return {
    mounts: traces.filter((trace) => trace.startsWith('mount')).length,
    groups: traces.filter((trace) => trace.startsWith('cgroup')).length,
    processes: traces.filter((trace) => trace.startsWith('process')).length,
    containers: traces.filter((trace) => trace.startsWith('container')).length,
    namespaces: namespacesIn(traces),
    descriptors: descriptors.length,
    watches: descriptors.filter((link) => link.includes('inotify')).length,
    children: childrenOf(pid),
    folders: readdirSync(folder.state, { recursive: true }).length,
  };
}

/** Those that a process of ours is in. */
function namespacesIn(traces: readonly string[]): number {
  const pids = traces.flatMap((trace) => /^process (\d+)/.exec(trace)?.[1] ?? []);
  return new Set(pids.flatMap((pid) => namespaceKinds.map((kind) => linkOf(`/proc/${pid}/ns/${kind}`)))).size;
}

const namespaceKinds = ['mnt', 'pid', 'net', 'ipc', 'uts', 'user'];

function childrenOf(pid: number | undefined): number {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).length;
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
