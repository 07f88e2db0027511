import type { PoolSpec } from '../domain/pool-spec.ts';
import type { TenantsSpec } from '../domain/tenant-limits.ts';

/** Everything the service is told from outside, read once, frozen. Made by `loadConfig` (load-config.ts). */
export interface Config {
  /** What this process does: serve calls, have sandboxes, or both. */
  readonly role: Role;
  /** Processes that serve calls at the same ports; 1: this one does. */
  readonly workers: number;
  readonly grpcListen: ListenAddress;
  readonly httpListen: ListenAddress;
  /** What addresses of the dialects begin with, without a slash at its end; null: as each caller has reached the service. */
  readonly httpUrl: string | null;
  /** Below it are the host names of sandboxes' ports; null: `localhost`. */
  readonly previewDomain: string | null;
  /** `public`: ports of sandboxes are shown to whoever knows their address. */
  readonly previewAuth: 'required' | 'public';
  /** Addresses and subnets of proxies whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly string[];
  /** Of one client of the xgen dialect; 0: no limit. */
  readonly xgenRequestsPerMinute: number;
  readonly dataListen: ListenAddress;
  /** What `ws_url` begins with, without a slash at its end; null: the address that the data port listens on. */
  readonly dataUrl: string | null;
  /** What an Origin header may say on a data socket. */
  readonly dataOrigins: readonly string[];
  /** A file with the key of data tokens (of a node, its public half will do); null: one is made and kept in the state folder. */
  readonly dataKeyFile: string | null;
  /** PEM files by which the data port speaks TLS; both or none. */
  readonly dataTls: TlsFiles;
  /** How other processes of the service reach the data port; null: by the address that it listens on, if that names one. */
  readonly nodeUrl: string | null;
  /** PEM files for other nodes' data ports (`wss://`): who signs their certificates (null: whom the system trusts), and our own. */
  readonly nodeTls: TlsFiles & { readonly caFile: string | null };
  /** null: the embedded memory store. */
  readonly redisUrl: string | null;
  /** PEM files for a Redis by TLS: who signs its certificate (null: whom the system trusts), and our own. */
  readonly redisTls: {
    readonly caFile: string | null;
    readonly certFile: string | null;
    readonly keyFile: string | null;
  };
  /** `wait`: a claim is answered when a replica has it as well, or after 50 ms. */
  readonly redisDurability: 'async' | 'wait';
  readonly runtime: 'auto' | 'docker' | 'bubblewrap';
  readonly poolsFolder: string;
  readonly pools: readonly PoolSpec[];
  readonly apiKeys: readonly ApiKeyEntry[];
  readonly tenants: TenantsSpec;
  readonly stateFolder: string;
  readonly nodeId: string;
  /** As dockerode understands it; null: the default socket. */
  readonly dockerHost: string | null;
  /** Holds ca.pem, cert.pem and key.pem for a remote engine; null: there is none. */
  readonly dockerCertFolder: string | null;
  readonly logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** How long SIGTERM lets calls finish. */
  readonly drainTimeoutMs: number;
  /** How long a node may be silent before what is on it counts as lost. */
  readonly nodeTimeoutMs: number;
  /** Sandboxes that this node may have; null: what its host carries. */
  readonly nodeCapacity: number | null;
}

export type Role = 'all' | 'allocator' | 'node';

/** A certificate and its key: both are there, or neither is. */
export interface TlsFiles {
  readonly certFile: string | null;
  readonly keyFile: string | null;
}

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** A key is known only by its SHA-256 (hex); the key itself is never stored. */
export interface ApiKeyEntry {
  readonly tenant: string;
  readonly sha256: string;
  readonly scopes: readonly string[];
}
