import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { packageRoot } from '../../src/package-root.ts';
import { complaintsAbout, imageVariables, textOf } from './deployed-files.ts';

const dockerfile = textOf('Dockerfile').replace(/\\\n/g, ' ').split('\n');

/** What .dockerignore lets into the context: everything is left out, then named, then some of it left out again. */
function isInContext(path: string): boolean {
  const patterns = textOf('.dockerignore')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  let isIn = true;
  for (const pattern of patterns) {
    const name = pattern.replace(/^!/, '');
    if (name === '*' || path === name || path.startsWith(`${name}/`)) isIn = pattern.startsWith('!');
  }
  return isIn;
}

test('what the Dockerfile copies is there, and .dockerignore lets it in', () => {
  const sources = dockerfile
    .filter((line) => line.startsWith('COPY ') && !line.includes('--from='))
    .flatMap((line) => line.split(/\s+/).slice(1, -1));
  assert.ok(sources.length > 10);
  for (const source of sources) {
    assert.ok(existsSync(join(packageRoot(), source)), source);
    assert.ok(isInContext(source), `${source} is in the context`);
  }
  for (const left of [
    'node_modules/zod',
    'dist/src',
    'guest/build/warmpool-guest',
    '.git/config',
    'test/run.ts',
  ])
    assert.ok(!isInContext(left), `${left} is not in the context`);
});

test('the image has every file that the program looks for below the package root', () => {
  const copied = dockerfile
    .filter((line) => line.startsWith('COPY --from=build '))
    .flatMap((line) => line.split(/\s+/).slice(2, -1))
    .map((path) => path.replace('/opt/warmpool/', ''));
  for (const needed of [
    ...['package.json', 'dist', 'node_modules', 'pools', 'proto'],
    ...['src/store/redis/lua', 'guest/build/warmpool-guest'],
  ])
    assert.ok(copied.includes(needed), needed);
});

test('the program takes the variables of the image, and is never root in the allocator’s', () => {
  assert.deepEqual(complaintsAbout(imageVariables()), []);
  const stages = textOf('Dockerfile')
    .split(/^FROM /m)
    .slice(1);
  const stage = (name: string) => stages.find((text) => text.split('\n')[0]?.endsWith(` AS ${name}`)) ?? '';
  assert.match(stage('allocator'), /^ENV WARMPOOL_ROLE=allocator\nUSER 10001:10001$/m);
  assert.match(stage('node'), /^ENV WARMPOOL_ROLE=node\nUSER root$/m);
  assert.equal(stages.at(-1), stage('allocator'), 'who names no stage gets the one without root');
  assert.match(dockerfile.join('\n'), /^ARG BASE_IMAGE=node:20-bookworm-slim$/m);
});

test('the health check passes where the process answers, wherever it listens, and fails where nobody does', async () => {
  let status = 200;
  const server = createServer((request, response) => {
    response.writeHead(request.url === '/healthz' ? status : 404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const passes = async (listen: string): Promise<boolean> => {
    const env = { ...process.env, WARMPOOL_HTTP_LISTEN: listen };
    const script = join(packageRoot(), 'deploy/container/healthcheck.mjs');
    return await promisify(execFile)(process.execPath, [script], { env }).then(
      () => true,
      () => false,
    );
  };
  assert.equal(await passes(`127.0.0.1:${port}`), true);
  assert.equal(await passes(`0.0.0.0:${port}`), true);
  status = 503;
  assert.equal(await passes(`127.0.0.1:${port}`), false);
  await new Promise((resolve) => server.close(resolve));
  assert.equal(await passes(`0.0.0.0:${port}`), false);
});
