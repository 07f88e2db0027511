import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadPools } from '../../src/config/pool-files.ts';
import { packageRoot } from '../../src/package-root.ts';
import { composeSchema } from './compose-schema.ts';
import { complaintsAbout, documentOf, imagePorts, imageVariables, textOf } from './deployed-files.ts';
import { misspelt } from './misspelt.ts';

const written = documentOf('compose.yaml');
const compose = composeSchema.parse(written);
const ours = Object.entries(compose.services).filter(([, { image }]) => image.startsWith('warmpool/'));

test('one letter too many in any field of compose.yaml is found', () => {
  const { services, networks, volumes, secrets, name } = written as Record<string, object>;
  const free = new Set(['environment', 'depends_on', 'networks', 'volumes', 'secrets']);
  let tried = 0;
  for (const wrong of misspelt({ name, services, networks, volumes, secrets }, free)) {
    // The names of services are ours.
    if (/^services\.[^.]+$/.test(wrong.place)) continue;
    tried += 1;
    assert.equal(composeSchema.safeParse(wrong.document).success, false, wrong.place);
  }
  assert.ok(tried > 100, String(tried));
});

test('compose.yaml has two allocators and two nodes, of the stages of the Dockerfile', () => {
  const images = ours.map(([, { image }]) => image).sort();
  const [allocator, node] = ['warmpool/allocator', 'warmpool/node'];
  assert.deepEqual(images, [allocator, allocator, node, node]);
  for (const stage of ['allocator', 'node'])
    assert.match(textOf('Dockerfile'), new RegExp(`^FROM .* AS ${stage}$`, 'm'));
});

test('the program takes what compose.yaml sets, and reaches what it names', () => {
  const ports = imagePorts();
  for (const [name, service] of ours) {
    const variables = { ...imageVariables(), ...service.environment };
    assert.deepEqual(complaintsAbout(variables), [], name);
    const isNode = service.image === 'warmpool/node';
    for (const published of service.ports ?? []) {
      const [, , inside] = published.split(':').map(Number);
      assert.ok(Object.values(ports).includes(inside ?? 0), `${name} ${published}`);
    }
    if (isNode) {
      assert.equal(variables.WARMPOOL_NODE_URL, `ws://${name}:${ports.data}`);
      assert.equal(variables.WARMPOOL_NODE_ID, name);
      assert.equal(service.ports, undefined, 'a node is reached through the allocators');
    } else {
      const data = service.ports?.find((published) => published.endsWith(`:${ports.data}`));
      const [host, port] = data?.split(':') ?? [];
      assert.equal(variables.WARMPOOL_DATA_URL, `ws://${host}:${port}`, name);
    }
    const files = Object.values(variables).filter((value) => value.startsWith('/run/secrets/'));
    const given = service.secrets.map(({ target }) => `/run/secrets/${target}`);
    assert.deepEqual(files.sort(), given.sort(), name);
    assert.equal(loadPools(join(packageRoot(), 'deploy/compose/pools')).length > 0, true);
    assert.ok(service.volumes.includes(`./deploy/compose/pools:${variables.WARMPOOL_POOLS}:ro`), name);
  }
});

test('networks, volumes and secrets of services are declared, and what is declared is used', () => {
  const services = Object.values(compose.services);
  const used = {
    networks: services.flatMap(({ networks }) => networks),
    volumes: services.flatMap(({ volumes }) => volumes.map((each) => each.split(':')[0] ?? '')),
    secrets: services.flatMap(({ secrets }) => secrets.map(({ source }) => source)),
  };
  const named = used.volumes.filter((source) => !/^[./]/.test(source));
  for (const path of used.volumes.filter((source) => source.startsWith('.')))
    assert.ok(existsSync(join(packageRoot(), path)), path);
  const sorted = (names: readonly string[]) => [...new Set(names)].sort();
  assert.deepEqual(sorted(used.networks), Object.keys(compose.networks).sort());
  assert.deepEqual(sorted(named), Object.keys(compose.volumes).sort());
  assert.deepEqual(sorted(used.secrets), Object.keys(compose.secrets).sort());
  const maker = textOf('deploy/compose/make-secrets.sh');
  for (const { file } of Object.values(compose.secrets)) {
    assert.ok(file.startsWith('./deploy/compose/secrets/'), file);
    assert.ok(maker.includes(`secrets/${file.split('/').at(-1)}`), file);
  }
  for (const { depends_on = {} } of services)
    for (const name of Object.keys(depends_on)) assert.ok(compose.services[name]?.healthcheck, name);
});

test('D19 compose waits longer than a drain takes', () => {
  for (const [name, { environment, stop_grace_period }] of ours) {
    const drainS = Number.parseInt(environment?.WARMPOOL_DRAIN_TIMEOUT ?? '', 10);
    assert.ok(Number.parseInt(stop_grace_period ?? '', 10) >= drainS + 20, name);
  }
});

test('Redis keeps what it is told, evicts nothing, and has no user but warmpool', () => {
  const { command = [] } = compose.services.redis ?? {};
  assert.equal(command[command.indexOf('--appendonly') + 1], 'yes');
  assert.equal(command[command.indexOf('--maxmemory-policy') + 1], 'noeviction');
  assert.match(textOf('deploy/compose/make-secrets.sh'), /user default off/);
});
