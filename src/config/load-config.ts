import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { homedir, hostname } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { noTenantLimits } from '../domain/tenant-limits.ts';
import { packageRoot } from '../package-root.ts';
import { parseApiKeys } from './api-keys.ts';
import { didYouMean } from './closest-name.ts';
import type { ApiKeyEntry, Config } from './config.ts';
import { ConfigError, type ConfigIssue } from './config-error.ts';
import { deepFreeze } from './deep-freeze.ts';
import { readPools, systemCode } from './pool-files.ts';
import { checkAddresses, checkPairs, checkRole, type filePairs, type Settings } from './setting-rules.ts';
import { foreignVariables, isSetting, type Setting, settingsSchema, variableOf } from './settings.ts';
import { reservationErrors, tenantFields } from './tenants.ts';
import { type IssuePlace, issuesOf, YamlSource } from './yaml-source.ts';

export interface ConfigSources {
  /** Usually `process.env`. What may hold a secret is deleted from it (A17). */
  readonly env: Record<string, string | undefined>;
  /** `--config FILE`; wins over WARMPOOL_CONFIG. */
  readonly configFile?: string;
  /** Settings of the command line, by name; they win over the environment. */
  readonly flags?: Readonly<Partial<Record<Setting, string>>>;
  /** Who and where we are, for the defaults; read from the system when absent. */
  readonly host?: { readonly name: string; readonly isRoot: boolean; readonly home: string };
}

/** Settings that are one path. */
type FileSetting =
  | 'dataKey'
  | 'nodeCaFile'
  | 'redisCaFile'
  | 'dockerCertPath'
  | (typeof filePairs)[number][0 | 1];

/**
 * Reads the environment, the optional YAML file and the pool files, once. The environment wins over the file, the file
 * over the defaults. Throws ConfigError with everything that is wrong, each with its field and where it was said.
 */
export function loadConfig(sources: ConfigSources): Config {
  const issues: ConfigIssue[] = [];
  const env = takeVariables(sources.env, issues);
  const file = readConfigFile(sources.configFile ?? env.get('WARMPOOL_CONFIG'), issues);
  const flags = sources.flags ?? {};
  const written = { ...file.values, ...settingsOf(env), ...flags };

  const sourceOf = (setting: string) => {
    if (Object.hasOwn(flags, setting)) return `--${setting}`;
    return isSetting(setting) && env.has(variableOf[setting]) ? variableOf[setting] : file.placeOf(setting);
  };
  const settings = checkSettings(written, issues, {
    ofValue: (path) => sourceOf(String(path[0])),
    ofKey: (path, key) => (path.length === 0 ? file.placeOfKey(key) : sourceOf(String(path[0]))),
    knownKeys: (path) => (path.length === 0 ? Object.keys(variableOf) : tenantFields),
  });
  const host = sources.host ?? { name: hostname(), isRoot: process.getuid?.() === 0, home: homedir() };
  // A path in the file is relative to the file; one in the environment, to where the service was started.
  const pathOf = (setting: Setting, path: string) =>
    resolve(env.has(variableOf[setting]) ? '.' : file.folder, path);

  const apiKeys = gatherApiKeys(settings, pathOf, sourceOf, issues);
  checkAddresses(settings, apiKeys, sourceOf, issues);
  checkRole(settings, sourceOf, issues);
  checkPairs(settings, sourceOf, issues);
  const poolsFolder =
    settings.pools === undefined ? join(packageRoot(), 'pools') : pathOf('pools', settings.pools);
  const pools = readPools(poolsFolder);
  issues.push(...pools.issues);
  const tenants = settings.tenants ?? noTenantLimits;
  // Pools that could not be read are told about already.
  const reservations = pools.issues.length > 0 ? [] : reservationErrors(tenants, pools.pools);
  issues.push(...reservations.map((message) => ({ source: sourceOf('tenants'), field: 'tenants', message })));
  if (issues.length > 0) throw new ConfigError(issues);

  const fileOf = (setting: FileSetting) => {
    const path = settings[setting];
    return path === undefined ? null : pathOf(setting, path);
  };
  const stateFolder =
    settings.stateDir === undefined ? defaultStateFolder(host, env) : pathOf('stateDir', settings.stateDir);
  return deepFreeze({
    role: settings.role,
    workers: settings.workers,
    grpcListen: settings.grpcListen,
    httpListen: settings.httpListen,
    httpUrl: settings.httpUrl ?? null,
    previewDomain: settings.previewDomain ?? null,
    previewAuth: settings.previewAuth,
    trustedProxies: settings.trustedProxies,
    xgenRequestsPerMinute: settings.xgenRequestsPerMinute,
    dataListen: settings.dataListen,
    dataUrl: settings.dataUrl ?? null,
    dataOrigins: settings.dataOrigins,
    dataKeyFile: fileOf('dataKey'),
    dataTls: { certFile: fileOf('dataCertFile'), keyFile: fileOf('dataCertKeyFile') },
    nodeUrl: settings.nodeUrl ?? null,
    nodeTls: {
      caFile: fileOf('nodeCaFile'),
      certFile: fileOf('nodeCertFile'),
      keyFile: fileOf('nodeKeyFile'),
    },
    redisUrl: settings.redisUrl ?? null,
    redisTls: {
      caFile: fileOf('redisCaFile'),
      certFile: fileOf('redisCertFile'),
      keyFile: fileOf('redisKeyFile'),
    },
    redisDurability: settings.redisDurability,
    runtime: settings.runtime,
    poolsFolder,
    pools: pools.pools,
    apiKeys,
    tenants,
    stateFolder,
    nodeId: settings.nodeId ?? nodeIdOf(host.name, stateFolder),
    dockerHost: settings.dockerHost ?? null,
    dockerCertFolder: fileOf('dockerCertPath'),
    logLevel: settings.logLevel,
    drainTimeoutMs: settings.drainTimeout,
    nodeTimeoutMs: settings.nodeTimeout,
    nodeCapacity: settings.nodeCapacity ?? null,
  });
}

/** Those of our variables that say something, and XDG_STATE_HOME; an empty one says nothing. Unknown ones are issues. */
function takeVariables(env: ConfigSources['env'], issues: ConfigIssue[]): ReadonlyMap<string, string> {
  const ours = new Set<string>([...Object.values(variableOf), 'WARMPOOL_CONFIG', 'XDG_STATE_HOME']);
  const taken = new Map<string, string>();
  for (const [name, value] of Object.entries(env)) {
    if (ours.has(name)) {
      if (value !== undefined && value !== '') taken.set(name, value);
    } else if (name.startsWith('WARMPOOL_') && !foreignVariables.test(name)) {
      issues.push({
        source: name,
        field: '',
        message: `is not a setting${didYouMean(name, [...ours], 'WARMPOOL_')}`,
      });
    }
  }
  for (const secret of [variableOf.redisUrl, variableOf.apiKeys]) delete env[secret];
  return taken;
}

function settingsOf(env: ReadonlyMap<string, string>): Record<string, string> {
  const written: Record<string, string> = {};
  for (const [setting, variable] of Object.entries(variableOf)) {
    const value = env.get(variable);
    if (value !== undefined) written[setting] = value;
  }
  return written;
}

/** A setting that is wrong is an issue and counts as unset, so that what depends on the others is still checked. */
function checkSettings(
  written: Readonly<Record<string, unknown>>,
  issues: ConfigIssue[],
  place: IssuePlace,
): Settings {
  const checked = settingsSchema.safeParse(written);
  if (checked.success) return checked.data;
  issues.push(...issuesOf(checked.error, place));
  const wrong = new Set<PropertyKey | undefined>(
    checked.error.issues.flatMap((issue) =>
      issue.code === 'unrecognized_keys' && issue.path.length === 0 ? issue.keys : [issue.path[0]],
    ),
  );
  return settingsSchema.parse(
    Object.fromEntries(Object.entries(written).filter(([name]) => !wrong.has(name))),
  );
}

interface ConfigFile {
  readonly values: Record<string, unknown>;
  readonly folder: string;
  placeOf(setting: string): string;
  placeOfKey(key: string): string;
}

function readConfigFile(path: string | undefined, issues: ConfigIssue[]): ConfigFile {
  const none = { values: {}, folder: '.', placeOf: () => 'the defaults', placeOfKey: () => 'the defaults' };
  if (path === undefined) return none;
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    issues.push({ source: path, field: 'config', message: `the file cannot be read (${systemCode(error)})` });
    return none;
  }
  const yaml = YamlSource.parse(path, text);
  if ('issues' in yaml) {
    issues.push(...yaml.issues);
    return none;
  }
  return {
    values: yaml.data,
    folder: dirname(path),
    placeOf: (setting) => yaml.source.placeOf([setting]),
    placeOfKey: (key) => yaml.source.placeOfKey([], key),
  };
}

function gatherApiKeys(
  settings: Settings,
  pathOf: (setting: Setting, path: string) => string,
  sourceOf: (setting: Setting) => string,
  issues: ConfigIssue[],
): readonly ApiKeyEntry[] {
  const keys: ApiKeyEntry[] = [];
  const add = (text: string, setting: Setting, source: string) => {
    const parsed = parseApiKeys(text);
    keys.push(...parsed.keys);
    const empty = parsed.keys.length === 0 && parsed.errors.length === 0 ? ['has no keys in it'] : [];
    issues.push(...[...parsed.errors, ...empty].map((message) => ({ source, field: setting, message })));
  };
  if (settings.apiKeys !== undefined) add(settings.apiKeys, 'apiKeys', sourceOf('apiKeys'));
  if (settings.apiKeysFile !== undefined) {
    const path = pathOf('apiKeysFile', settings.apiKeysFile);
    try {
      add(readFileSync(path, 'utf8'), 'apiKeysFile', path);
    } catch (error) {
      const source = sourceOf('apiKeysFile');
      issues.push({ source, field: 'apiKeysFile', message: `${path} cannot be read (${systemCode(error)})` });
    }
  }
  return keys;
}

/** Root's state is the system's; anybody else's is where the XDG base directory specification puts it. */
function defaultStateFolder(
  host: { readonly isRoot: boolean; readonly home: string },
  env: ReadonlyMap<string, string>,
): string {
  if (host.isRoot) return systemStateFolder;
  const stateHome = env.get('XDG_STATE_HOME');
  // The specification: a relative path there is invalid and is ignored.
  return join(stateHome?.startsWith('/') ? stateHome : join(host.home, '.local', 'state'), 'warmpool');
}

/**
 * The same at each start of the same service: objects of an earlier run are found again by it. Another service on this
 * host holds another state folder, and must not take what it finds in the store or at the engine for its own.
 */
function nodeIdOf(hostName: string, stateFolder: string): string {
  const suffix =
    stateFolder === systemStateFolder
      ? ''
      : `-${createHash('sha256').update(stateFolder).digest('hex').slice(0, 8)}`;
  const id = hostName
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, nodeIdCharactersMax - suffix.length)
    .replace(/^-+|-+$/g, '');
  return `${id === '' ? 'node' : id}${suffix}`;
}

const systemStateFolder = '/var/lib/warmpool';
/** As the setting allows. */
const nodeIdCharactersMax = 63;
