import type { Duplex } from 'node:stream';
import type { RuntimeName, TemplateSpec } from '../domain/pool-spec.ts';

/**
 * The port to whatever runs sandboxes. An adapter knows how to make an isolated place with the guest as its process 1
 * and hand out the byte stream to it; it knows nothing of pools, leases or the frames on that stream.
 *
 * Whatever is created first and removed last (cgroup, container name) carries the sandbox's id, so that `list` finds an
 * object after a crash at any step (D14). Each step is idempotent.
 */
export interface SandboxRuntime extends AsyncDisposable {
  readonly name: RuntimeName;
  /** Whether a sandbox outlives this process (docker) or ends with it (bubblewrap): D16. */
  readonly survivesNode: boolean;

  /** Looks at the host or engine once. Versions, and in plain sentences what it cannot enforce here. */
  inspectHost(): Promise<HostReport>;
  /** Makes the template bootable (guest in place, root found); cheap when already done. IMAGE_MISSING when it cannot be. */
  prepare(template: TemplateSpec): Promise<void>;
  /** Boots one sandbox. On failure or abort nothing of it is left. */
  boot(request: BootRequest, signal: AbortSignal): Promise<BootedSandbox>;
  /** Opens a new link to a sandbox that outlived its node. Only where `survivesNode`. */
  adopt(sandboxId: string): Promise<BootedSandbox>;
  /** Everything of this node that exists here, half-made objects too. Throws rather than answer in part. */
  list(): Promise<readonly RuntimeObject[]>;
  /** Kills all of it and removes what is left of it; fine when there is nothing. */
  destroy(sandboxId: string): Promise<void>;
}

export type HostReport =
  | {
      readonly usable: true;
      readonly versions: Readonly<Record<string, string>>;
      /** Said once at start: known weaknesses of this host, limits it cannot enforce. */
      readonly warnings: readonly string[];
    }
  | { readonly usable: false; readonly reason: string };

export interface BootRequest {
  readonly sandboxId: string;
  readonly pool: string;
  readonly storeId: string;
  readonly template: TemplateSpec;
}

export interface BootedSandbox {
  /** Bytes to and from the guest. Destroying it detaches; only `destroy` ends the sandbox for certain. */
  readonly transport: Duplex;
  /** True when the guest may hold an older epoch (protocol/README.md, section 1.1): resync before Hello. */
  readonly resync: boolean;
}

export interface RuntimeObject {
  readonly sandboxId: string;
  /** The store whose record it had; null when a crash came before that was written down. */
  readonly storeId: string | null;
  readonly running: boolean;
  /** An earlier process made it, and it is of no use to this one: its link ended with that process. */
  readonly leftOver: boolean;
  /** Milliseconds since it was made, by the host's or engine's clock. */
  readonly ageMs: number;
}
