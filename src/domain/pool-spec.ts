/** What to boot, how many of it, and how long a claim lasts: one pool file, defaults filled in, frozen. */
export interface PoolSpec {
  readonly name: string;
  readonly template: TemplateSpec;
  readonly size: PoolSize;
  readonly waiting: WaitingSpec;
  readonly lease: LeaseSpec;
}

export type RuntimeName = 'docker' | 'bubblewrap';
export type OnMiss = 'cold' | 'wait' | 'fail';
export type OnExpiry = 'kill';

export interface TemplateSpec {
  /** Image for Docker. */
  readonly image: string;
  /** Root for bubblewrap: `host` or an absolute directory. */
  readonly rootfs: string;
  readonly runtime: 'auto' | RuntimeName;
  /** OCI runtime of the engine (`runc`, `runsc`); empty means the engine's default. Docker only. */
  readonly ociRuntime: string;
  readonly user: string;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Commands run once, in order, before the sandbox counts as ready; each must exit 0. */
  readonly warmup: readonly (readonly string[])[];
  readonly ready: { readonly exec: readonly string[] };
  readonly resources: Resources;
  readonly bootTimeoutMs: number;
}

export interface Resources {
  /** Cores; fractions allowed. */
  readonly cpu: number;
  readonly memoryMb: number;
  readonly diskMb: number;
  readonly pids: number;
}

/** What a claim may ask for other than its template has: what is absent is the template's. */
export type AskedResources = Partial<Pick<Resources, 'cpu' | 'memoryMb' | 'diskMb'>>;

/** Whether a sandbox of the template, as it is kept ready, has what is asked for. */
export function hasResources(template: Pick<TemplateSpec, 'resources'>, asked: AskedResources): boolean {
  const { cpu, memoryMb, diskMb } = { ...template.resources, ...asked };
  const { resources } = template;
  return cpu === resources.cpu && memoryMb === resources.memoryMb && diskMb === resources.diskMb;
}

export function withResources(template: TemplateSpec, asked: AskedResources | undefined): TemplateSpec {
  return asked === undefined ? template : { ...template, resources: { ...template.resources, ...asked } };
}

export interface PoolSize {
  readonly minReady: number;
  readonly maxReady: number;
  /** Share of claims that should find a ready sandbox, below 1; 0: the pool does not follow its load. */
  readonly targetHitRatio: number;
  /** Kept ready while the pool is in use, whatever its load. */
  readonly burst: number;
  /** A pool that nobody has claimed from for this long is not in use: only minReady is kept. */
  readonly scaleToZeroAfterMs: number;
  /** Hard maximum of live sandboxes: starting, ready, running, stopping. */
  readonly maxTotal: number;
  readonly startsInFlightMax: number;
  /** A ready sandbox older than this is recycled. */
  readonly maxIdleAgeMs: number;
  readonly onMiss: OnMiss;
}

/** How many creates may wait for a ready sandbox, in all processes together. More are refused at once. */
export interface WaitingSpec {
  readonly max: number;
  /** Those of one tenant among them. */
  readonly perTenantMax: number;
}

export interface LeaseSpec {
  readonly ttlMs: number;
  readonly maxLifetimeMs: number;
  /** The pool file names no maximum: it is the default, which binds no claim that lives for as long as it is kept alive. */
  readonly maxLifetimeIsDefault?: true;
  readonly onExpiry: OnExpiry;
}
