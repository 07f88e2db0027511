import { z } from 'zod';
import { parseSocketUrl } from '../domain/socket-url.ts';
import { parseDuration } from './duration.ts';
import { parseListenAddress } from './listen-address.ts';
import { tenantsSchema } from './tenants.ts';
import { parseHttpUrl, parseOrigins, parsePreviewDomain, parseProxies } from './web-addresses.ts';

/**
 * Every setting once: its name in the YAML file, its environment variable, what it may be, and its default. Both
 * sources go through the same schema; what needs more than one setting at a time is checked in load-config.ts.
 */

function fromText<T>(message: string, parse: (text: string) => T | null) {
  return z.string({ error: message }).transform((text, context): T => {
    const value = parse(text);
    if (value !== null) return value;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });
}

function oneOf<const Choices extends readonly [string, ...string[]]>(choices: Choices) {
  return z.enum(choices, { error: `must be one of ${choices.join(', ')}` });
}

const listenAddress = fromText('must be host:port, such as 127.0.0.1:50051 or [::1]:0', parseListenAddress);
const path = z.string({ error: 'must be a path' }).refine((text) => !text.includes('\0'), 'must be a path');

const workersMessage = 'must be a whole number from 1, for no processes beside this one, to 64';
const requestsMessage = 'must be a whole number from 0, for no limit, to 1000000';
const capacityMessage = 'must be a whole number from 1 to 100000';
const proxiesMessage = 'must be addresses or subnets such as 10.0.0.0/8, parted by commas';
const originsMessage = 'must be origins such as https://app.example.com, parted by commas';

export const settingsSchema = z.strictObject({
  role: oneOf(['all', 'allocator', 'node']).default('all'),
  workers: z
    .union([z.number(), z.string().regex(/^\d+$/).transform(Number)], { error: workersMessage })
    .pipe(z.number().int(workersMessage).min(1, workersMessage).max(64, workersMessage))
    .default(1),
  grpcListen: listenAddress.prefault('127.0.0.1:50051'),
  httpListen: listenAddress.prefault('127.0.0.1:8080'),
  httpUrl: fromText(
    'must be http://host:port or https://host, with a path at most, such as https://api.example.com',
    parseHttpUrl,
  ).optional(),
  previewDomain: fromText(
    'must be a domain, with a port if it is not the usual one, such as preview.example.com',
    parsePreviewDomain,
  ).optional(),
  previewAuth: oneOf(['required', 'public']).default('required'),
  trustedProxies: z
    .union([z.string(), z.array(z.string()).transform((entries) => entries.join(','))], {
      error: proxiesMessage,
    })
    .pipe(fromText(proxiesMessage, parseProxies))
    .prefault(''),
  xgenRequestsPerMinute: z
    .union([z.number(), z.string().regex(/^\d+$/).transform(Number)], { error: requestsMessage })
    .pipe(z.number().int(requestsMessage).min(0, requestsMessage).max(1_000_000, requestsMessage))
    .default(120),
  dataListen: listenAddress.prefault('127.0.0.1:8081'),
  dataUrl: fromText(
    'must be ws://host:port or wss://host, with a path at most, such as wss://data.example.com',
    parseSocketUrl,
  ).optional(),
  dataOrigins: z
    .union([z.string(), z.array(z.string()).transform((entries) => entries.join(','))], {
      error: originsMessage,
    })
    .pipe(fromText(originsMessage, parseOrigins))
    .prefault(''),
  dataKey: path.optional(),
  dataCertFile: path.optional(),
  dataCertKeyFile: path.optional(),
  nodeUrl: fromText(
    'must be ws://host:port or wss://host, with a path at most, such as ws://10.0.0.7:8081',
    parseSocketUrl,
  ).optional(),
  nodeCaFile: path.optional(),
  nodeCertFile: path.optional(),
  nodeKeyFile: path.optional(),
  redisUrl: fromText(
    'must be redis://host:port, unix:///path, the absolute path of a socket, redis+sentinel://host:port,host:port/name or redis+cluster://host:port,host:port, with rediss instead of redis for TLS',
    parseRedisUrl,
  ).optional(),
  redisCaFile: path.optional(),
  redisCertFile: path.optional(),
  redisKeyFile: path.optional(),
  redisDurability: oneOf(['async', 'wait']).default('async'),
  runtime: oneOf(['auto', 'docker', 'bubblewrap']).default('auto'),
  pools: path.optional(),
  apiKeys: z
    .union([z.string(), z.array(z.string()).transform((entries) => entries.join(','))], {
      error: 'must be a text or a list of texts that read tenant:sha256hex[:scope+scope]',
    })
    .optional(),
  apiKeysFile: path.optional(),
  tenants: tenantsSchema.optional(),
  stateDir: path.optional(),
  nodeId: z
    .string({ error: 'must be text' })
    .regex(
      /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
      'must be 1 to 63 of a-z, 0-9 and -, not starting or ending with -',
    )
    .optional(),
  dockerHost: z
    .string({ error: 'must be text' })
    .regex(
      /^(unix:\/\/\/|(tcp|http|https|ssh):\/\/[^\s/])\S*$/,
      'must be unix:///path, or tcp, http, https or ssh and ://host:port',
    )
    .optional(),
  dockerCertPath: path.optional(),
  logLevel: oneOf(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
  /** Under the 10 s after which `docker stop` kills, with time left to end the sandboxes. */
  drainTimeout: fromText('must be a duration from 0s to 1h, such as 5s', (text) => {
    const durationMs = parseDuration(text);
    return durationMs === null || durationMs > 3_600_000 ? null : durationMs;
  }).prefault('5s'),
  /** Heartbeats come every second, and placement skips a node after five seconds: less would end what only stumbled. */
  nodeTimeout: fromText('must be a duration from 5s to 1h, such as 15s', (text) => {
    const durationMs = parseDuration(text);
    return durationMs === null || durationMs < 5_000 || durationMs > 3_600_000 ? null : durationMs;
  }).prefault('15s'),
  nodeCapacity: z
    .union([z.number(), z.string().regex(/^\d+$/).transform(Number)], { error: capacityMessage })
    .pipe(z.number().int(capacityMessage).min(1, capacityMessage).max(100_000, capacityMessage))
    .optional(),
});

export type Setting = keyof typeof settingsSchema.shape;

export const variableOf = {
  role: 'WARMPOOL_ROLE',
  workers: 'WARMPOOL_WORKERS',
  grpcListen: 'WARMPOOL_GRPC_LISTEN',
  httpListen: 'WARMPOOL_HTTP_LISTEN',
  httpUrl: 'WARMPOOL_HTTP_URL',
  previewDomain: 'WARMPOOL_PREVIEW_DOMAIN',
  previewAuth: 'WARMPOOL_PREVIEW_AUTH',
  trustedProxies: 'WARMPOOL_TRUSTED_PROXIES',
  xgenRequestsPerMinute: 'WARMPOOL_XGEN_REQUESTS_PER_MINUTE',
  dataListen: 'WARMPOOL_DATA_LISTEN',
  dataUrl: 'WARMPOOL_DATA_URL',
  dataOrigins: 'WARMPOOL_DATA_ORIGINS',
  dataKey: 'WARMPOOL_DATA_KEY',
  dataCertFile: 'WARMPOOL_DATA_CERT_FILE',
  dataCertKeyFile: 'WARMPOOL_DATA_CERT_KEY_FILE',
  nodeUrl: 'WARMPOOL_NODE_URL',
  nodeCaFile: 'WARMPOOL_NODE_CA_FILE',
  nodeCertFile: 'WARMPOOL_NODE_CERT_FILE',
  nodeKeyFile: 'WARMPOOL_NODE_KEY_FILE',
  redisUrl: 'REDIS_URL',
  redisCaFile: 'WARMPOOL_REDIS_CA_FILE',
  redisCertFile: 'WARMPOOL_REDIS_CERT_FILE',
  redisKeyFile: 'WARMPOOL_REDIS_KEY_FILE',
  redisDurability: 'WARMPOOL_REDIS_DURABILITY',
  runtime: 'WARMPOOL_RUNTIME',
  pools: 'WARMPOOL_POOLS',
  apiKeys: 'WARMPOOL_API_KEYS',
  apiKeysFile: 'WARMPOOL_API_KEYS_FILE',
  tenants: 'WARMPOOL_TENANTS',
  stateDir: 'WARMPOOL_STATE_DIR',
  nodeId: 'WARMPOOL_NODE_ID',
  dockerHost: 'DOCKER_HOST',
  dockerCertPath: 'DOCKER_CERT_PATH',
  logLevel: 'WARMPOOL_LOG_LEVEL',
  drainTimeout: 'WARMPOOL_DRAIN_TIMEOUT',
  nodeTimeout: 'WARMPOOL_NODE_TIMEOUT',
  nodeCapacity: 'WARMPOOL_NODE_CAPACITY',
} as const satisfies Record<Setting, string>;

export function isSetting(name: string): name is Setting {
  return Object.hasOwn(variableOf, name);
}

/**
 * Variables with our prefix that are not for the server: the command line's, the provisioning script's, the tests' (with
 * `failpoints.ts`), and those that Kubernetes sets in every pod beside a Service called `warmpool`.
 */
export const foreignVariables =
  /^WARMPOOL_(ADDRESS|SERVER|API_KEY|PROVISION|REQUIRE|FAILPOINTS|TEST_\w+|BENCH_\w+|SERVICE_(HOST|PORT)\w*|PORT|PORT_\d\w*)$/;

/** As the Redis store takes it: always a URL; the path of a unix socket becomes one. */
function parseRedisUrl(text: string): string | null {
  if (text.startsWith('/') && !text.startsWith('//')) return `unix://${text}`;
  // No URL has several hosts: the store reads the rest of these forms, and says what is wrong with it.
  if (/^rediss?\+(sentinel|cluster):\/\/[^/]/.test(text)) return text;
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  if (url.protocol === 'unix:' && url.host === '' && url.pathname.length > 1) return text;
  return (url.protocol === 'redis:' || url.protocol === 'rediss:') && url.hostname !== '' ? text : null;
}
