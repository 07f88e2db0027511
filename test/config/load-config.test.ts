import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ConfigError } from '../../src/config/config-error.ts';
import { type ConfigSources, loadConfig } from '../../src/config/load-config.ts';
import { packageRoot } from '../../src/package-root.ts';

const folder = mkdtempSync(join(tmpdir(), 'warmpool-config-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const sha256 = 'ab'.repeat(32);
const someone = { name: 'Build-Host.example.org', isRoot: false, home: '/home/someone' };
const root = { ...someone, isRoot: true };

function load(env: Record<string, string>, rest: Omit<ConfigSources, 'env'> = {}) {
  return loadConfig({ env, host: someone, ...rest });
}

function issuesOf(env: Record<string, string>, rest: Omit<ConfigSources, 'env'> = {}): string[] {
  try {
    load(env, rest);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.issues.map((issue) => `${issue.source} | ${issue.field} | ${issue.message}`);
  }
  assert.fail('the configuration was taken');
}

function writeFile(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

test('an empty environment gives the embedded defaults', () => {
  const config = load({});
  assert.deepEqual(config.grpcListen, { host: '127.0.0.1', port: 50_051 });
  assert.deepEqual(config.httpListen, { host: '127.0.0.1', port: 8_080 });
  assert.deepEqual(config.dataListen, { host: '127.0.0.1', port: 8_081 });
  assert.equal(config.redisUrl, null);
  assert.equal(config.runtime, 'auto');
  assert.equal(config.dockerHost, null);
  assert.equal(config.dockerCertFolder, null);
  assert.equal(config.logLevel, 'info');
  assert.equal(config.drainTimeoutMs, 5_000);
  assert.equal(config.nodeTimeoutMs, 15_000);
  assert.equal(config.nodeCapacity, null);
  assert.deepEqual(config.apiKeys, []);
  assert.equal(config.poolsFolder, join(packageRoot(), 'pools'));
  assert.deepEqual(
    config.pools.map((pool) => pool.name),
    ['base'],
  );
});

test('an empty variable is as good as none', () => {
  const config = load({ REDIS_URL: '', WARMPOOL_RUNTIME: '', DOCKER_HOST: '', WARMPOOL_API_KEYS: '' });
  assert.equal(config.redisUrl, null);
  assert.equal(config.runtime, 'auto');
});

test('the configuration is frozen all the way down', () => {
  const config = load({ WARMPOOL_API_KEYS: `acme:${sha256}` });
  const frozen = [
    config,
    config.grpcListen,
    config.pools,
    config.pools[0]?.template.env,
    config.apiKeys[0]?.scopes,
  ];
  for (const part of frozen) assert.ok(Object.isFrozen(part));
});

test('the state folder of root is the system’s, that of others is theirs', () => {
  assert.equal(load({}, { host: root }).stateFolder, '/var/lib/warmpool');
  assert.equal(load({}).stateFolder, '/home/someone/.local/state/warmpool');
  assert.equal(load({ XDG_STATE_HOME: '/state' }).stateFolder, '/state/warmpool');
  assert.equal(load({ XDG_STATE_HOME: 'relative' }).stateFolder, '/home/someone/.local/state/warmpool');
  assert.equal(load({ WARMPOOL_STATE_DIR: '/data' }).stateFolder, '/data');
});

test('the node id comes from the host name, made safe, and is the same each time', () => {
  assert.equal(load({}, { host: root }).nodeId, 'build-host-example-org');
  assert.equal(load({}, { host: { ...root, name: '__' } }).nodeId, 'node');
  assert.equal(load({}, { host: { ...root, name: 'x'.repeat(80) } }).nodeId, 'x'.repeat(63));
  assert.equal(load({ WARMPOOL_NODE_ID: 'node-7' }).nodeId, 'node-7');
  assert.match(
    issuesOf({ WARMPOOL_NODE_ID: 'Node 7' }).join(),
    /^WARMPOOL_NODE_ID \| nodeId \| must be 1 to 63 of/,
  );
});

test('two services on one host, each with a state folder of its own, are two nodes', () => {
  const idOf = (stateDir: string) => load({ WARMPOOL_STATE_DIR: stateDir }).nodeId;
  assert.match(idOf('/data/a'), /^build-host-example-org-[0-9a-f]{8}$/);
  assert.notEqual(idOf('/data/a'), idOf('/data/b'));
  assert.equal(idOf('/data/a'), idOf('/data/a'));
  assert.notEqual(load({}).nodeId, load({}, { host: root }).nodeId);
  const long = load({ WARMPOOL_STATE_DIR: '/data/a' }, { host: { ...someone, name: 'x'.repeat(80) } });
  assert.match(long.nodeId, /^x{54}-[0-9a-f]{8}$/);
});

test('the environment wins over the file, the file over the defaults', () => {
  const configFile = writeFile(
    'wins.yaml',
    'grpcListen: 127.0.0.1:7001\nhttpListen: 127.0.0.1:7002\nlogLevel: warn\ndrainTimeout: 30s\n',
  );
  const config = load(
    { WARMPOOL_GRPC_LISTEN: '127.0.0.1:9001', WARMPOOL_CONFIG: '/not/read' },
    { configFile },
  );
  assert.equal(config.grpcListen.port, 9_001);
  assert.equal(config.httpListen.port, 7_002);
  assert.equal(config.dataListen.port, 8_081);
  assert.equal(config.logLevel, 'warn');
  assert.equal(config.drainTimeoutMs, 30_000);
});

test('WARMPOOL_CONFIG names the file, and paths in it are relative to it', () => {
  mkdirSync(join(folder, 'my-pools'));
  writeFileSync(join(folder, 'my-pools', 'a.yaml'), 'name: a\n');
  const path = writeFile('paths.yaml', 'pools: my-pools\nstateDir: state\n');
  const config = load({ WARMPOOL_CONFIG: path });
  assert.equal(config.poolsFolder, join(folder, 'my-pools'));
  assert.equal(config.stateFolder, join(folder, 'state'));
  assert.deepEqual(
    config.pools.map((pool) => pool.name),
    ['a'],
  );
});

test('everything wrong is said at once, each with its field and where it was said', () => {
  const configFile = writeFile('wrong.yaml', '# a comment\nlogLevel: loud\ndataListen: 8081\nredisURL: x\n');
  const issues = issuesOf(
    { WARMPOOL_RUNTIME: 'podman', WARMPOOL_GRPC_LISTEN: '0.0.0.0:1', WARMPOOL_POOLS: '/nowhere' },
    { configFile },
  );
  assert.deepEqual(
    issues.sort(),
    [
      '/nowhere | pools | the folder of pool files cannot be read (ENOENT)',
      'WARMPOOL_GRPC_LISTEN | grpcListen | 0.0.0.0:1 can be reached from other machines and no API key is configured; listen on 127.0.0.1, or set WARMPOOL_API_KEYS or WARMPOOL_API_KEYS_FILE',
      'WARMPOOL_RUNTIME | runtime | must be one of auto, docker, bubblewrap',
      `${configFile}:2:11 | logLevel | must be one of trace, debug, info, warn, error, silent`,
      `${configFile}:3:13 | dataListen | must be host:port, such as 127.0.0.1:50051 or [::1]:0`,
      `${configFile}:4:1 | redisURL | is not a field; did you mean redisUrl?`,
    ].sort(),
  );
});

test('an unknown variable with our prefix is an error that names the likely one', () => {
  assert.deepEqual(issuesOf({ WARMPOOL_RUNTIM: 'docker' }), [
    'WARMPOOL_RUNTIM |  | is not a setting; did you mean WARMPOOL_RUNTIME?',
  ]);
  assert.deepEqual(issuesOf({ WARMPOOL_COLOUR: 'red' }), ['WARMPOOL_COLOUR |  | is not a setting']);
});

test('variables of the command line, the tests and Kubernetes beside us are not ours to judge', () => {
  load({
    WARMPOOL_API_KEY: 'k',
    WARMPOOL_PROVISION: '0',
    WARMPOOL_REQUIRE: 'redis',
    WARMPOOL_TEST_DOCKER_HOST: 'unix:///x',
    WARMPOOL_SERVICE_HOST: '10.0.0.1',
    WARMPOOL_PORT: 'tcp://10.0.0.1:50051',
    WARMPOOL_PORT_50051_TCP: 'tcp://10.0.0.1:50051',
  });
});

test('K9 the certificates of a remote engine are found where Docker’s own variable says', () => {
  const config = load({ DOCKER_HOST: 'tcp://engine:2376', DOCKER_CERT_PATH: '/etc/engine' });
  assert.equal(config.dockerCertFolder, '/etc/engine');
  const path = writeFile('remote.yaml', 'dockerCertPath: certs\n');
  assert.equal(load({ WARMPOOL_CONFIG: path }).dockerCertFolder, join(folder, 'certs'));
});

test('a file that is missing, broken or not a mapping is said by name', () => {
  assert.deepEqual(issuesOf({ WARMPOOL_CONFIG: '/nowhere.yaml' }), [
    '/nowhere.yaml | config | the file cannot be read (ENOENT)',
  ]);
  const broken = writeFile('broken.yaml', 'logLevel: warn\ngrpcListen: [\n');
  assert.match(issuesOf({ WARMPOOL_CONFIG: broken })[0] ?? '', new RegExp(`^${broken}:[23]:`));
  const list = writeFile('list.yaml', '- a\n- b\n');
  assert.deepEqual(issuesOf({ WARMPOOL_CONFIG: list }), [`${list} |  | must be a mapping of fields`]);
  const twice = writeFile('twice.yaml', 'logLevel: warn\nlogLevel: info\n');
  assert.match(issuesOf({ WARMPOOL_CONFIG: twice })[0] ?? '', new RegExp(`^${twice}:2:`));
});

for (const [text, address] of [
  ['127.0.0.1:1', { host: '127.0.0.1', port: 1 }],
  ['localhost:65535', { host: 'localhost', port: 65_535 }],
  ['[::1]:0', { host: '::1', port: 0 }],
] as const) {
  test(`listens on ${text}`, () =>
    assert.deepEqual(load({ WARMPOOL_GRPC_LISTEN: text }).grpcListen, address));
}

for (const text of [
  '8080',
  ':8080',
  'localhost',
  '127.0.0.1:65536',
  '127.0.0.1:01',
  '127.0.0.1:-1',
  '::1:80',
  '[::1]',
  '[x]:1',
  'http://h:1',
  '127.0.0.1:80 ',
]) {
  test(`refuses to listen on "${text}"`, () => {
    assert.match(
      issuesOf({ WARMPOOL_GRPC_LISTEN: text }).join(),
      /^WARMPOOL_GRPC_LISTEN \| grpcListen \| must be host:port/,
    );
  });
}

test('two services on one address are refused, unless the system chooses the ports', () => {
  const same = { WARMPOOL_GRPC_LISTEN: '127.0.0.1:7000', WARMPOOL_DATA_LISTEN: '127.0.0.1:7000' };
  assert.deepEqual(issuesOf(same), [
    'WARMPOOL_DATA_LISTEN | dataListen | 127.0.0.1:7000 is also the address of grpcListen',
  ]);
  load({ WARMPOOL_GRPC_LISTEN: '127.0.0.1:0', WARMPOOL_DATA_LISTEN: '127.0.0.1:0' });
});

for (const host of ['0.0.0.0', '[::]', '192.168.1.1', 'example.org', '[::ffff:10.0.0.1]']) {
  test(`A19 without a key ${host} is refused on every port, with a key it is taken`, () => {
    for (const variable of ['WARMPOOL_GRPC_LISTEN', 'WARMPOOL_HTTP_LISTEN', 'WARMPOOL_DATA_LISTEN']) {
      assert.match(
        issuesOf({ [variable]: `${host}:1` }).join(),
        /can be reached from other machines and no API key/,
      );
      load({ [variable]: `${host}:1`, WARMPOOL_API_KEYS: `acme:${sha256}` });
    }
  });
}

for (const host of ['127.0.0.1', '127.9.9.9', 'localhost', '[::1]']) {
  test(`A19 without a key ${host} is taken`, () => void load({ WARMPOOL_GRPC_LISTEN: `${host}:1` }));
}

for (const [text, taken] of [
  ['redis://127.0.0.1:6379', 'redis://127.0.0.1:6379'],
  ['rediss://user:pw@redis.example.org:6380/2', 'rediss://user:pw@redis.example.org:6380/2'],
  ['/run/redis.sock', 'unix:///run/redis.sock'],
  ['unix:///run/redis.sock', 'unix:///run/redis.sock'],
  ['redis+sentinel://:pw@a:1,b:2/main/1', 'redis+sentinel://:pw@a:1,b:2/main/1'],
  ['rediss+cluster://u:pw@a:1,b', 'rediss+cluster://u:pw@a:1,b'],
] as const) {
  test(`takes ${text} as a Redis`, () => assert.equal(load({ REDIS_URL: text }).redisUrl, taken));
}

test('A17 what may hold a secret is gone from the environment afterwards, even when the start fails', () => {
  const good = { REDIS_URL: 'redis://:canary@h:1', WARMPOOL_API_KEYS: `acme:${sha256}`, PATH: '/bin' };
  loadConfig({ env: good, host: someone });
  assert.deepEqual(good, { PATH: '/bin' });
  const bad = { REDIS_URL: 'canary', WARMPOOL_RUNTIME: 'x' };
  assert.throws(() => loadConfig({ env: bad, host: someone }));
  assert.deepEqual(bad, { WARMPOOL_RUNTIME: 'x' });
});

test('A17 no error repeats a secret', () => {
  const keysFile = writeFile('keys-with-canary', 'canary-key\nacme:canary-hash\n');
  const issues = issuesOf({
    REDIS_URL: 'canary://user:canary@host',
    WARMPOOL_API_KEYS: `canary,acme:canary,acme:${sha256}:canary`,
    WARMPOOL_API_KEYS_FILE: keysFile,
  });
  assert.equal(issues.length, 6);
  assert.doesNotMatch(issues.join('\n').replaceAll(keysFile, ''), /canary/);
});

test('keys come from the environment and from a file, hashed, with their scopes', () => {
  const other = 'CD'.repeat(32);
  const keysFile = writeFile('keys', `# operators\nops:${other}:admin+claim+claim\n\n`);
  const config = load({ WARMPOOL_API_KEYS: ` acme:${sha256} ,`, WARMPOOL_API_KEYS_FILE: keysFile });
  assert.deepEqual(config.apiKeys, [
    { tenant: 'acme', sha256, scopes: ['claim', 'exec', 'files', 'ports'] },
    { tenant: 'ops', sha256: other.toLowerCase(), scopes: ['admin', 'claim'] },
  ]);
});

test('keys in the YAML file may be a list', () => {
  const configFile = writeFile(
    'keys.yaml',
    `apiKeys:\n  - acme:${sha256}\n  - ops:${'cd'.repeat(32)}:admin\n`,
  );
  assert.deepEqual(
    load({}, { configFile }).apiKeys.map((key) => key.tenant),
    ['acme', 'ops'],
  );
});

for (const [text, message] of [
  ['acme', /64 hex digits/],
  [`Acme:${sha256}`, /the tenant must be/],
  [`acme:${sha256}:root`, /scopes are claim, exec, files, ports, admin/],
  [`acme:${sha256}:`, /scopes are/],
  [`acme:${sha256}:claim:x`, /must read tenant:sha256hex/],
  [`acme:${sha256},ops:${sha256}`, /entry 2: the same key is there twice/],
  [' , ', /has no keys in it/],
] as const) {
  test(`refuses the keys "${text.replaceAll(sha256, '<sha256>')}"`, () => {
    assert.match(issuesOf({ WARMPOOL_API_KEYS: text }).join(), message);
  });
}

test('a key file that cannot be read is an error, never a start without keys', () => {
  assert.deepEqual(issuesOf({ WARMPOOL_API_KEYS_FILE: '/nowhere' }), [
    'WARMPOOL_API_KEYS_FILE | apiKeysFile | /nowhere cannot be read (ENOENT)',
  ]);
});

test('the data plane is told its address from outside, the origins of its pages and its key', () => {
  const plain = load({});
  assert.deepEqual([plain.dataUrl, plain.dataOrigins, plain.dataKeyFile], [null, [], null]);
  const config = load({
    WARMPOOL_DATA_URL: 'wss://data.example.com/',
    WARMPOOL_DATA_ORIGINS: 'https://app.example.com, http://localhost:3000',
    WARMPOOL_DATA_KEY: '/etc/warmpool/data.pem',
  });
  assert.equal(config.dataUrl, 'wss://data.example.com');
  assert.deepEqual(config.dataOrigins, ['https://app.example.com', 'http://localhost:3000']);
  assert.equal(config.dataKeyFile, '/etc/warmpool/data.pem');
  assert.equal(load({ WARMPOOL_DATA_URL: 'ws://10.0.0.1:8081/data/' }).dataUrl, 'ws://10.0.0.1:8081/data');
});

test('addresses and origins that no client could use are refused', () => {
  for (const url of [
    'https://data.example.com',
    'data.example.com',
    'wss://user:secret@data.example.com',
    'wss://data.example.com/?a=b',
    'wss://data.example.com/#x',
  ]) {
    assert.throws(() => load({ WARMPOOL_DATA_URL: url }), /WARMPOOL_DATA_URL/, url);
  }
  for (const origins of [
    '*',
    'app.example.com',
    'https://app.example.com/',
    'https://app.example.com/x',
    'HTTPS://a.b',
  ]) {
    assert.throws(() => load({ WARMPOOL_DATA_ORIGINS: origins }), /WARMPOOL_DATA_ORIGINS/, origins);
  }
});

test('tenants have the limits of their own lines, those of * where they say nothing, and none by default', () => {
  const file = writeFile(
    'tenants.yaml',
    'tenants:\n  "*": {maxRunning: 5, createsPerSecond: 1.5}\n  acme: {maxRunning: 50, reserved: {base: 3}}\n',
  );
  assert.deepEqual(load({ WARMPOOL_CONFIG: file }).tenants, {
    others: { maxRunning: 5, createsPerSecond: 1.5, createsBurst: 3, reserved: {} },
    named: { acme: { maxRunning: 50, createsPerSecond: 1.5, createsBurst: 3, reserved: { base: 3 } } },
  });
  const none = { maxRunning: null, createsPerSecond: null, createsBurst: 1, reserved: {} };
  assert.deepEqual(load({}).tenants, { others: none, named: {} });
  const ofEnvironment = load({ WARMPOOL_TENANTS: '{"acme": {"createsBurst": 9}}' }).tenants;
  assert.deepEqual(ofEnvironment, { others: none, named: { acme: { ...none, createsBurst: 9 } } });
});

test('limits that mean nothing are refused, and so are shares of no pool or of more than it keeps', () => {
  const issues = (tenants: string) => issuesOf({ WARMPOOL_TENANTS: tenants });
  for (const wrong of [
    '{"acme": {"maxRunning": 0}}',
    '{"acme": {"createsPerSecond": 0}}',
    '{"acme": {"maxRuning": 1}}',
    '{"Not A Name": {}}',
    '{"*": {"reserved": {"base": 1}}}',
    'acme',
  ]) {
    assert.match(issues(wrong).join('\n'), /^WARMPOOL_TENANTS \| tenants/, wrong);
  }
  assert.match(issues('{"acme": {"reserved": {"no-such": 1}}}').join(), /"no-such", which is no pool/);
  assert.match(
    issues('{"acme": {"reserved": {"base": 40}}, "other": {"reserved": {"base": 40}}}').join(),
    /80 sandboxes of pool "base" are reserved/,
  );
});

test('a role of its own needs the store that the others are met in, and the key that they are known by', () => {
  for (const role of ['node', 'allocator']) {
    const [redis = '', key = '', ...rest] = issuesOf({ WARMPOOL_ROLE: role });
    assert.match(redis, /^WARMPOOL_ROLE \| redisUrl \| .*set REDIS_URL/);
    assert.match(key, /^WARMPOOL_ROLE \| dataKey \| .*WARMPOOL_DATA_KEY/);
    assert.deepEqual(rest, []);
  }
  const env = { REDIS_URL: '/run/redis.sock', WARMPOOL_DATA_KEY: 'key.pem' };
  assert.equal(load({ WARMPOOL_ROLE: 'node', ...env }).role, 'node');
  assert.equal(load(env).role, 'all');
});

test('a certificate and its key come together', () => {
  assert.deepEqual(load({}).dataTls, { certFile: null, keyFile: null });
  const [missing = '', ...rest] = issuesOf({ WARMPOOL_DATA_CERT_FILE: 'cert.pem' });
  assert.match(
    missing,
    /^WARMPOOL_DATA_CERT_FILE \| dataCertKeyFile \| is missing: .*WARMPOOL_DATA_CERT_FILE is set/,
  );
  assert.deepEqual(rest, []);
  assert.match(issuesOf({ WARMPOOL_NODE_KEY_FILE: 'key.pem' }).join(), /\| nodeCertFile \| is missing/);
  const env = { WARMPOOL_NODE_KEY_FILE: '/tls/key.pem', WARMPOOL_NODE_CERT_FILE: '/tls/cert.pem' };
  assert.deepEqual(load(env).nodeTls, { caFile: null, certFile: '/tls/cert.pem', keyFile: '/tls/key.pem' });
});

test('workers need Redis, and a node has none', () => {
  assert.match(issuesOf({ WARMPOOL_WORKERS: '2' }).join(), /WARMPOOL_WORKERS \| redisUrl \| /);
  const env = { REDIS_URL: '/run/redis.sock', WARMPOOL_DATA_KEY: 'key.pem', WARMPOOL_WORKERS: '2' };
  assert.equal(load(env).workers, 2);
  assert.match(issuesOf({ ...env, WARMPOOL_ROLE: 'node' }).join(), /\| workers \| a node serves no calls/);
  for (const wrong of ['0', '65', 'two', '1.5']) {
    assert.match(
      issuesOf({ ...env, WARMPOOL_WORKERS: wrong }).join(),
      /\| workers \| must be a whole number/,
    );
  }
});

test('the command line goes before the environment, and is named where it is wrong', () => {
  const env = { REDIS_URL: '/run/redis.sock', WARMPOOL_DATA_KEY: 'key.pem', WARMPOOL_ROLE: 'node' };
  assert.equal(load(env, { flags: { role: 'allocator', workers: '3' } }).role, 'allocator');
  assert.match(
    issuesOf(env, { flags: { role: 'boss' } }).join(),
    /^--role \| role \| must be one of all, allocator, node/,
  );
});

test('A19 a node, which serves no calls, may leave the address of calls as it is', () => {
  const env = {
    REDIS_URL: '/run/redis.sock',
    WARMPOOL_DATA_KEY: 'key.pem',
    WARMPOOL_GRPC_LISTEN: '0.0.0.0:50051',
  };
  assert.equal(load({ ...env, WARMPOOL_ROLE: 'node' }).role, 'node');
  assert.match(issuesOf({ ...env, WARMPOOL_ROLE: 'allocator' }).join(), /no API key is configured/);
});
