import type { z } from 'zod';
import type { ApiKeyEntry, ListenAddress } from './config.ts';
import type { ConfigIssue } from './config-error.ts';
import { formatListenAddress, isLoopback } from './listen-address.ts';
import { type Setting, type settingsSchema, variableOf } from './settings.ts';

export type Settings = z.output<typeof settingsSchema>;

export function checkAddresses(
  settings: Settings,
  apiKeys: readonly ApiKeyEntry[],
  sourceOf: (setting: Setting) => string,
  issues: ConfigIssue[],
): void {
  const usedBy = new Map<string, string>();
  for (const setting of ['grpcListen', 'httpListen', 'dataListen'] as const) {
    // A node serves no calls.
    if (setting === 'grpcListen' && settings.role === 'node') continue;
    const address: ListenAddress = settings[setting];
    const written = formatListenAddress(address);
    const refuse = (message: string) => issues.push({ source: sourceOf(setting), field: setting, message });
    const other = usedBy.get(written);
    if (other !== undefined && address.port !== 0) refuse(`${written} is also the address of ${other}`);
    usedBy.set(written, setting);
    // A19: without a key everybody who can reach a port may run commands here.
    if (apiKeys.length === 0 && !isLoopback(address.host)) {
      refuse(
        `${written} can be reached from other machines and no API key is configured; ` +
          'listen on 127.0.0.1, or set WARMPOOL_API_KEYS or WARMPOOL_API_KEYS_FILE',
      );
    }
  }
}

/** What several processes share: the store that they meet in, and the key that they know each other by. */
export function checkRole(
  settings: Settings,
  sourceOf: (setting: Setting) => string,
  issues: ConfigIssue[],
): void {
  const { role, workers, redisUrl, dataKey } = settings;
  const refuse = (field: Setting, source: Setting, message: string) =>
    issues.push({ source: sourceOf(source), field, message });
  if (role === 'node' && workers > 1) {
    refuse('workers', 'workers', 'a node serves no calls: workers are for the roles all and allocator');
  }
  if (redisUrl === undefined && role !== 'all') {
    const message = `role ${role} meets the other processes in Redis: set REDIS_URL to the same one for all of them`;
    refuse('redisUrl', 'role', message);
  } else if (redisUrl === undefined && workers > 1) {
    refuse('redisUrl', 'workers', 'several workers meet in Redis: set REDIS_URL, or workers to 1');
  }
  if (dataKey === undefined && role !== 'all') {
    refuse(
      'dataKey',
      'role',
      'allocators and nodes know each other by one key: make it with "openssl genpkey -algorithm ed25519", and its ' +
        'public half with "openssl pkey -pubout"; WARMPOOL_DATA_KEY names the key on allocators, and the public half on nodes',
    );
  }
}

/** A certificate is of no use without its key, nor the other way round. */
export function checkPairs(
  settings: Settings,
  sourceOf: (setting: Setting) => string,
  issues: ConfigIssue[],
): void {
  for (const pair of filePairs) {
    const [there, missing] = settings[pair[0]] === undefined ? [pair[1], pair[0]] : pair;
    if (settings[there] === undefined || settings[missing] !== undefined) continue;
    const message = `is missing: a certificate and its key come together, and ${variableOf[there]} is set`;
    issues.push({ source: sourceOf(there), field: missing, message });
  }
}

export const filePairs = [
  ['dataCertFile', 'dataCertKeyFile'],
  ['nodeCertFile', 'nodeKeyFile'],
  ['redisCertFile', 'redisKeyFile'],
] as const;
