import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { diffPools } from '../../src/config/diff-pools.ts';
import { parsePoolFile, readPools } from '../../src/config/pool-files.ts';
import type { PoolSpec } from '../../src/domain/pool-spec.ts';
import { specVersionOf } from '../../src/domain/spec-version.ts';

function parse(text: string): PoolSpec {
  const parsed = parsePoolFile(text, 'pool.yaml');
  if ('issues' in parsed) assert.fail(JSON.stringify(parsed.issues));
  return parsed.pool;
}

function issuesOf(text: string): string[] {
  const parsed = parsePoolFile(text, 'pool.yaml');
  if ('pool' in parsed) assert.fail('the pool was taken');
  return parsed.issues.map((issue) => `${issue.source} | ${issue.field} | ${issue.message}`);
}

const exampleOfTheDesign = `
name: base
template: {image: warmpool/base, rootfs: host, runtime: auto, user: user, cwd: /home/user, env: {}, warmup: [], ready: {exec: ["true"]},
           resources: {cpu: 1, memoryMb: 512, diskMb: 1024, pids: 256}, bootTimeout: 30s}
size: {minReady: 8, maxReady: 64, maxTotal: 256, startsInFlightMax: 4, maxIdleAge: 1h, onMiss: cold,
       targetHitRatio: 0.95, burst: 0, scaleToZeroAfter: 10m}
waiting: {max: 256, perTenantMax: 64}
lease: {ttl: 5m, maxLifetime: 24h, onExpiry: kill}
`;

test('a name is enough: everything else has the documented default', () => {
  const said = parse(exampleOfTheDesign);
  // That nobody has named it is known: dialects without such a limit follow it only where somebody has.
  const lease = { ...said.lease, maxLifetimeIsDefault: true };
  assert.deepEqual(parse('name: base'), { ...said, lease });
  assert.deepEqual(parse('name: base'), {
    name: 'base',
    template: {
      image: 'warmpool/base',
      rootfs: 'host',
      runtime: 'auto',
      ociRuntime: '',
      user: 'user',
      cwd: '/home/user',
      env: {},
      warmup: [],
      ready: { exec: ['true'] },
      resources: { cpu: 1, memoryMb: 512, diskMb: 1_024, pids: 256 },
      bootTimeoutMs: 30_000,
    },
    size: {
      minReady: 8,
      maxReady: 64,
      maxTotal: 256,
      startsInFlightMax: 4,
      maxIdleAgeMs: 3_600_000,
      onMiss: 'cold',
      targetHitRatio: 0.95,
      burst: 0,
      scaleToZeroAfterMs: 600_000,
    },
    waiting: { max: 256, perTenantMax: 64 },
    lease: { ttlMs: 300_000, maxLifetimeMs: 86_400_000, maxLifetimeIsDefault: true, onExpiry: 'kill' },
  });
});

test('what a file says is taken as it is', () => {
  const pool = parse(`
name: node-22
template:
  image: registry.example.org/team/node:22@sha256:${'0'.repeat(64)}
  rootfs: /srv/node-22
  runtime: docker
  ociRuntime: runsc
  user: "1000"
  cwd: /work
  env: {PORT: "8080", EMPTY: ""}
  warmup:
    - [npm, ci]
    - ["node", "-e", ""]
  ready: {exec: [curl, -fs, "http://localhost:8080"]}
  resources: {cpu: 0.5}
`);
  assert.deepEqual(pool.template.env, { PORT: '8080', EMPTY: '' });
  assert.deepEqual(pool.template.warmup, [
    ['npm', 'ci'],
    ['node', '-e', ''],
  ]);
  assert.equal(pool.template.resources.cpu, 0.5);
  assert.equal(pool.template.resources.memoryMb, 512);
  assert.equal(pool.template.ociRuntime, 'runsc');
});

test('an unknown field is an error with its place and the likely name', () => {
  assert.deepEqual(issuesOf('name: a\nsize:\n  minReadi: 3\n  wholly: different\n'), [
    'pool.yaml:3:3 | size.minReadi | is not a field; did you mean minReady?',
    'pool.yaml:4:3 | size.wholly | is not a field',
  ]);
  assert.deepEqual(issuesOf('name: a\ntemplate: {ready: {exek: [a]}}\nnmae: b\n'), [
    'pool.yaml:2:20 | template.ready.exek | is not a field; did you mean exec?',
    'pool.yaml:3:1 | nmae | is not a field; did you mean name?',
  ]);
});

for (const [text, expected] of [
  ['{}', 'pool.yaml | name | is missing'],
  ['', 'pool.yaml | name | is missing'],
  ['name: 7', 'pool.yaml:1:7 | name | must be text'],
  ['name: Base', 'pool.yaml:1:7 | name | must be 1 to 63 of a-z, 0-9 and -, not starting or ending with -'],
  ['name: a-', 'pool.yaml:1:7 | name | must be 1 to 63 of a-z, 0-9 and -, not starting or ending with -'],
  ['name: a\nsize: 3', 'pool.yaml:2:7 | size | must be a mapping of fields'],
  [
    'name: a\nsize: {minReady: -1}',
    'pool.yaml:2:18 | size.minReady | must be a whole number from 0 to 100000',
  ],
  [
    'name: a\nsize: {minReady: 1.5}',
    'pool.yaml:2:18 | size.minReady | must be a whole number from 0 to 100000',
  ],
  [
    'name: a\nsize: {minReady: "1"}',
    'pool.yaml:2:18 | size.minReady | must be a whole number from 0 to 100000',
  ],
  [
    'name: a\nsize: {minReady: 65}',
    'pool.yaml:2:18 | size.minReady | is 65, which is over size.maxReady (64)',
  ],
  ['name: a\nsize: {maxReady: 4}', 'pool.yaml:2:7 | size.minReady | is 8, which is over size.maxReady (4)'],
  [
    'name: a\nsize: {maxTotal: 63}',
    'pool.yaml:2:7 | size.maxReady | is 64, which is over size.maxTotal (63)',
  ],
  [
    'name: a\nsize: {targetHitRatio: 1}',
    'pool.yaml:2:24 | size.targetHitRatio | must be a number from 0 to 0.999',
  ],
  ['name: a\nsize: {burst: 65}', 'pool.yaml:2:15 | size.burst | is 65, which is over size.maxReady (64)'],
  [
    'name: a\nsize: {scaleToZeroAfter: 2d}',
    'pool.yaml:2:26 | size.scaleToZeroAfter | must be a duration such as 30s, 5m, 1h or 24h, from 1s to 1d',
  ],
  [
    'name: a\nsize: {startsInFlightMax: 0}',
    'pool.yaml:2:27 | size.startsInFlightMax | must be a whole number from 1 to 1000',
  ],
  ['name: a\nsize: {onMiss: hot}', 'pool.yaml:2:16 | size.onMiss | must be one of cold, wait, fail'],
  ['name: a\nlease: {ttl: 25h}', 'pool.yaml:2:14 | lease.ttl | is 25h, which is over lease.maxLifetime (1d)'],
  [
    'name: a\nlease: {onExpiry: pause}',
    'pool.yaml:2:19 | lease.onExpiry | must be kill; nothing else is offered yet',
  ],
  [
    'name: a\ntemplate: {runtime: runc}',
    'pool.yaml:2:21 | template.runtime | must be one of auto, docker, bubblewrap',
  ],
  [
    'name: a\ntemplate: {rootfs: relative}',
    'pool.yaml:2:20 | template.rootfs | must be host or an absolute path',
  ],
  ['name: a\ntemplate: {cwd: home}', 'pool.yaml:2:17 | template.cwd | must be an absolute path'],
  ['name: a\ntemplate: {user: ""}', 'pool.yaml:2:18 | template.user | must not be empty'],
  [
    'name: a\ntemplate: {user: 1000}',
    'pool.yaml:2:18 | template.user | must be text; write numbers, true and false in quotes',
  ],
  [
    'name: a\ntemplate: {image: "--privileged"}',
    'pool.yaml:2:19 | template.image | must be an image reference',
  ],
  ['name: a\ntemplate: {image: "a b"}', 'pool.yaml:2:19 | template.image | must be an image reference'],
  [
    'name: a\ntemplate: {ociRuntime: "../x"}',
    'pool.yaml:2:24 | template.ociRuntime | must be the name of a runtime known to the engine',
  ],
  [
    'name: a\ntemplate: {env: {PORT: 8080}}',
    'pool.yaml:2:24 | template.env.PORT | must be text; write numbers, true and false in quotes',
  ],
  ['name: a\ntemplate: {env: {"A=B": c}}', 'pool.yaml:2:25 | template.env.A=B | must be a name without ='],
  ['name: a\ntemplate: {env: {A: "\\0"}}', 'pool.yaml:2:21 | template.env.A | must not hold a NUL'],
  [
    'name: a\ntemplate: {warmup: ["npm ci"]}',
    'pool.yaml:2:21 | template.warmup[0] | must be a list of words, such as ["npm", "ci"]; no shell is involved',
  ],
  ['name: a\ntemplate: {warmup: [[]]}', 'pool.yaml:2:21 | template.warmup[0] | must name a program'],
  [
    'name: a\ntemplate: {ready: {exec: [true]}}',
    'pool.yaml:2:27 | template.ready.exec[0] | must be text; write numbers, true and false in quotes',
  ],
  [
    'name: a\ntemplate: {resources: {cpu: 0}}',
    'pool.yaml:2:29 | template.resources.cpu | must be a number of cores from 0.01 to 1024',
  ],
  [
    'name: a\ntemplate: {resources: {memoryMb: .inf}}',
    'pool.yaml:2:34 | template.resources.memoryMb | must be a whole number from 16 to 4194304',
  ],
  [
    'name: a\ntemplate: {resources: {pids: 1}}',
    'pool.yaml:2:30 | template.resources.pids | must be a whole number from 8 to 4194304',
  ],
] as const) {
  test(`refuses ${JSON.stringify(text)}`, () => assert.deepEqual(issuesOf(text), [expected]));
}

for (const duration of [
  '30',
  '0.5h',
  '30 s',
  '-30s',
  '+30s',
  '030s',
  '30S',
  '1h30m',
  '0s',
  '11m',
  '',
  '9999999999s',
  '1e3ms',
]) {
  test(`refuses a boot timeout of "${duration}"`, () => {
    assert.match(
      issuesOf(`name: a\ntemplate: {bootTimeout: "${duration}"}`).join(),
      /must be a duration such as 30s, 5m, 1h or 24h, from 1s to 10m/,
    );
  });
}

for (const [duration, durationMs] of [
  ['1500ms', 1_500],
  ['1s', 1_000],
  ['5m', 300_000],
  ['10m', 600_000],
] as const) {
  test(`takes a boot timeout of ${duration}`, () => {
    assert.equal(parse(`name: a\ntemplate: {bootTimeout: ${duration}}`).template.bootTimeoutMs, durationMs);
  });
}

test('over a limit is refused, never clamped: entries, bytes, words', () => {
  const env = Array.from({ length: 257 }, (_, index) => `A${index}: x`).join(', ');
  assert.match(
    issuesOf(`name: a\ntemplate: {env: {${env}}}`).join(),
    /template\.env \| must not have over 256 entries/,
  );
  const big = `A: ${'x'.repeat(32_768)}, B: ${'x'.repeat(32_768)}`;
  assert.match(
    issuesOf(`name: a\ntemplate: {env: {${big}}}`).join(),
    /template\.env \| must not be over 60000 bytes in all/,
  );
  const words = Array.from({ length: 1_025 }, () => 'x').join(', ');
  assert.match(
    issuesOf(`name: a\ntemplate: {ready: {exec: [${words}]}}`).join(),
    /must not have over 1024 words/,
  );
  assert.match(issuesOf(`name: a\n#${'x'.repeat(262_144)}`).join(), /is over 262144 characters/);
});

test('an alias bomb is an error, not a stall', () => {
  const levels = [
    'a0: &a0 [x]',
    ...Array.from({ length: 9 }, (_, i) => `a${i + 1}: &a${i + 1} [${Array(9).fill(`*a${i}`).join(', ')}]`),
  ];
  assert.match(issuesOf(levels.join('\n')).join(), /alias/i);
});

test('a key that would reach into every object stays a key', () => {
  assert.match(issuesOf('name: a\n__proto__: {x: 1}').join(), /__proto__|is not a field/);
  assert.equal(Object.hasOwn(Object.prototype, 'x'), false);
});

test('a folder gives its pools by file name; two of one name are an error that names both files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'warmpool-pools-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'b.yaml'), 'name: b');
  writeFileSync(join(folder, 'a.yml'), 'name: a');
  writeFileSync(join(folder, '.hidden.yaml'), 'nonsense');
  writeFileSync(join(folder, 'notes.txt'), 'nonsense');
  assert.deepEqual(
    readPools(folder).pools.map((pool) => pool.name),
    ['a', 'b'],
  );
  writeFileSync(join(folder, 'c.yaml'), 'name: a\nsize: {minReady: x}');
  writeFileSync(join(folder, 'd.yaml'), 'name: a');
  const { issues } = readPools(folder);
  assert.deepEqual(
    issues.map((issue) => `${issue.source} | ${issue.message}`),
    [
      `${join(folder, 'c.yaml')}:2:18 | must be a whole number from 0 to 100000`,
      `${join(folder, 'd.yaml')} | a is also the name in ${join(folder, 'a.yml')}`,
    ],
  );
});

test('a folder without pools is an error', () => {
  const folder = mkdtempSync(join(tmpdir(), 'warmpool-pools-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  assert.deepEqual(readPools(folder).issues, [
    { source: folder, field: 'pools', message: 'the folder has no pool files (*.yaml)' },
  ]);
});

test('a template’s version depends on what it says and not on the order it is said in', () => {
  const one = parse('name: a\ntemplate: {user: root, env: {A: "1", B: "2"}}');
  const other = parse('name: b\ntemplate: {env: {B: "2", A: "1"}, user: root}');
  assert.equal(specVersionOf(one.template), specVersionOf(other.template));
  assert.match(specVersionOf(one.template), /^[0-9a-f]{16}$/);
  const changes = [
    'cwd: /',
    'warmup: [[a, b]]',
    'warmup: [[a], [b]]',
    'warmup: [["a,b"]]',
    'ociRuntime: runsc',
    'resources: {pids: 9}',
    'bootTimeout: 31s',
  ];
  const versions = changes.map((change) => specVersionOf(parse(`name: a\ntemplate: {${change}}`).template));
  assert.equal(new Set([specVersionOf(parse('name: a').template), ...versions]).size, changes.length + 1);
});

test('a reload touches only the pools that say something else', () => {
  const before = [parse('name: same'), parse('name: gone'), parse('name: other')];
  const after = [
    parse('name: other\nsize: {minReady: 1}'),
    parse('name: new'),
    parse('name: same\nlease: {ttl: 300s}'),
  ];
  const changes = diffPools(before, after);
  assert.deepEqual(
    changes.added.map((pool) => pool.name),
    ['new'],
  );
  assert.deepEqual(
    changes.changed.map((pool) => pool.name),
    ['other'],
  );
  assert.deepEqual(
    changes.removed.map((pool) => pool.name),
    ['gone'],
  );
});
