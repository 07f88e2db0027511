import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { ServiceFolder } from '../support/service.ts';
import { killFromOutside, tracesOf } from '../support/traces.ts';
import { until } from '../support/until.ts';
import { execOf } from './rest-acceptance.ts';
import { refusedUpgrade } from './xgen-client.ts';
import { type Answer, keys, type SandboxObject, type XgenService } from './xgen-service.ts';

/** A service whose pool keeps three ready, and what it stands on. Nobody else creates or deletes anything in it. */
export interface PoolStand {
  readonly service: XgenService;
  readonly folder: ServiceFolder;
  /** null: its sandboxes are bubblewrap's. */
  readonly dockerHost: string | null;
  /** Another one on the same folder, after this one was killed. */
  restart(): Promise<void>;
}

/** The limit of calls: point 24 of the acceptance. The service has the one that it has by default. */
export function limitAcceptance(service: () => XgenService): void {
  it('24. the 121st request of a client within 60 s is 429, from any source port, and other clients are not affected', async () => {
    // A client that nobody else is.
    const ask = (key: string) => service().call('GET', '/api/v1/sandboxes', { key });
    const first = await Promise.all(Array.from({ length: 120 }, () => ask(keys.runner)));
    assert.ok(first.every(({ status }) => status === 200));
    const over = await ask(keys.runner);
    assert.deepEqual([over.status, over.body.code], [429, 'QUOTA_EXCEEDED']);
    const retryAfterMs = JSON.parse(String(over.body.details)).retry_after_ms;
    assert.ok(retryAfterMs > 0 && retryAfterMs <= 60_000);
    assert.equal(Number(over.headers.get('retry-after')), Math.ceil(retryAfterMs / 1_000));
    assert.equal((await ask(keys.user)).status, 200);
    const upgrade = await refusedUpgrade(service().socketUrl('00aaaaaaaaaaaaaaaaaa'), {
      headers: { authorization: `ApiKey ${keys.runner}` },
    });
    assert.equal(upgrade.status, 429);
  });
}

/** The pool behind the dialect: the first half of point 28 of the acceptance. */
export function poolAcceptance(stand: () => PoolStand): void {
  it('28. a ready sandbox that is killed is replaced and never handed out; creates from a full pool are hits that run and see their environment', async () => {
    const { service, folder, dockerHost } = stand();
    await full(stand());
    let ready = new Set<string>();
    const threeAreReady = async () => {
      ready = difference(sandboxesIn(await tracesOf(folder, dockerHost)), await claimed(service));
      return ready.size === target;
    };
    await until(threeAreReady, () => `three to be ready and none on its way out: ${[...ready]}`);
    const [killed = ''] = ready;
    await killFromOutside(folder, dockerHost, killed);
    await until(
      async () => (await threeAreReady()) && !ready.has(killed),
      () => `another one in the place of ${killed}: ${[...ready]}`,
    );
    await full(stand());
    const creates = await Promise.all(
      Array.from({ length: target }, (_, index) =>
        service.call('POST', '/api/v1/sandboxes', {
          // As the pool has it, so any of it will do.
          body: { env: { WHICH: `${index}` }, resources: { cpu: '1', memory: '512Mi' } },
        }),
      ),
    );
    for (const [index, created] of creates.entries()) {
      assert.deepEqual(
        [created.status, created.headers.get('x-warmpool'), created.body.status],
        [201, 'hit', 'running'],
      );
      assert.notEqual(created.body.id, killed);
      assert.equal(await said(service, created), `${index}\n`);
    }
  });
}

/** The number of them: the second half of the point. */
export function manyCreates(service: () => XgenService): void {
  it('28. 200 creates, 16 at a time, give 200 ids and no error', async () => {
    const ids = new Set<string>();
    let left = 200;
    const caller = async () => {
      while (left > 0) {
        left -= 1;
        const created = await service().call('POST', '/api/v1/sandboxes');
        assert.equal(created.status, 201, JSON.stringify(created.body));
        const id = String(created.body.id);
        ids.add(id);
        assert.equal((await service().call('DELETE', `/api/v1/sandboxes/${id}`)).status, 204);
      }
    };
    await Promise.all(Array.from({ length: 16 }, caller));
    assert.equal(ids.size, 200);
    const known = await claimed(service());
    assert.ok([...ids].every((id) => !known.has(id)));
  });
}

/** A service that ends in the middle of its work: the rest of the point. `isKept`: what was claimed goes on. */
export function restartAcceptance(stand: () => PoolStand, isKept: boolean): void {
  it('28. a service that was killed leaves no orphan, and the next one has its pool', async () => {
    await full(stand());
    const before = await stand().service.create({ env: { WHICH: 'first' }, timeout_seconds: 86_400 });
    await stand().restart();
    const { service, folder, dockerHost } = stand();
    await full(stand());
    const created = await service.call('POST', '/api/v1/sandboxes', { body: { env: { WHICH: 'second' } } });
    assert.deepEqual(
      [created.status, created.headers.get('x-warmpool'), created.body.status],
      [201, 'hit', 'running'],
    );
    assert.equal(await said(service, created), 'second\n');
    const again = await service.call('GET', `/api/v1/sandboxes/${before.id}`);
    assert.equal(again.status, isKept ? 200 : 404);
    if (isKept) assert.equal(await said(service, again), 'first\n');

    let sentence = '';
    await until(
      async () => {
        const found = sandboxesIn(await tracesOf(folder, dockerHost));
        const [known, ready] = [await claimed(service), await available(service)];
        sentence = `of ${[...found]} ${[...known]} are claimed and ${ready} are ready`;
        return (
          ready === target && found.size === known.size + target && [...known].every((id) => found.has(id))
        );
      },
      () => `everything on the host to be somebody's or ready: ${sentence}`,
    );
  });
}

/** The counters: point 26 of the acceptance, which ends every sandbox of the service. */
export function metricsAcceptance(stand: () => PoolStand): void {
  it('26. the five published series count patterns, never ids, and active is 0 when all are deleted', async () => {
    const { service } = stand();
    const text = async () => (await fetch(`${service.origin}/metrics`)).text();
    const metric = async (line: RegExp) => Number(line.exec(await text())?.[1] ?? 0);
    const active = /^xgen_sandboxes_active (\d+)$/m;
    const creates = /^xgen_sandbox_create_total (\d+)$/m;
    const deletes = /^xgen_sandbox_delete_total (\d+)$/m;
    const deleted =
      /^xgen_http_requests_total\{method="DELETE",path="\/api\/v1\/sandboxes\/\{id\}",status="204"\} (\d+)$/m;
    const posts =
      /^xgen_http_request_duration_seconds_count\{method="POST",path="\/api\/v1\/sandboxes"\} (\d+)$/m;
    const patterns = [creates, deletes, deleted, posts];
    const before = await Promise.all(patterns.map(metric));
    for (const _ of [1, 2]) await service.create();
    const ids = [...(await claimed(service))];
    assert.ok(ids.length >= 2);
    await until(async () => (await metric(active)) === (await claimed(service)).size, 'all to be active');
    for (const id of ids) await service.call('DELETE', `/api/v1/sandboxes/${id}`);
    const unknown = '/xgen/api/v1/sandboxes/00aaaaaaaaaaaaaaaaaa';
    assert.equal((await service.call('DELETE', unknown)).status, 404);
    assert.equal(await metric(active), 0);
    let counted: readonly number[] = [];
    await until(
      async () => {
        const now = await Promise.all(patterns.map(metric));
        counted = now.map((value, index) => value - (before[index] ?? 0));
        return counted.join() === [2, ids.length, ids.length, 2].join();
      },
      () => `creates, deletes and their requests to be counted: ${counted} for ${ids.length}`,
    );
    const all = await text();
    assert.ok(
      ids.every((id) => !all.includes(id)),
      'no id is a label',
    );
  });
}

async function full({ service }: PoolStand): Promise<void> {
  await until(async () => (await available(service)) >= target, 'the pool to be full');
}

async function available(service: XgenService): Promise<number> {
  const { body } = await service.call('GET', '/api/v1/admin/warm-pool');
  const [pool] = body.pools as readonly { readonly available: number }[];
  return pool?.available ?? 0;
}

async function claimed(service: XgenService): Promise<ReadonlySet<string>> {
  const { body } = await service.call('GET', '/api/v1/sandboxes');
  return new Set((body as unknown as readonly SandboxObject[]).map(({ id }) => id));
}

async function said(service: XgenService, { body: { id } }: Answer): Promise<unknown> {
  return (await execOf(service, String(id))({ command: 'sh', args: ['-c', 'echo $WHICH'] })).body.stdout;
}

/** Ids of the sandboxes that have control groups or containers. */
function sandboxesIn(traces: readonly string[]): Set<string> {
  const ids = traces.map(
    (trace) => /^(?:cgroup|container) .*?\b((?:0\d|1[0-5])[a-z0-9]{18})\b/.exec(trace)?.[1],
  );
  return new Set(ids.filter((id) => id !== undefined));
}

function difference(all: ReadonlySet<string>, without: ReadonlySet<string>): Set<string> {
  return new Set([...all].filter((id) => !without.has(id)));
}

const target = 3;
