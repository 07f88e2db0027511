import type { WirePath } from '../../protocol/wire-path.ts';

/** What every operation takes beside its request. */
export interface OperationOptions {
  /** On abort the channel is closed, what it carried ends (protocol/README.md 4.1), and what waits rejects with the reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Keys that every file request has. */
export interface FileScope {
  /** Absent: the claim's, else the template's (socket); the guest's own (link). */
  readonly user?: string | undefined;
  /** Absolute; where a relative path starts. Absent: as `user`. */
  readonly cwd?: string | undefined;
  /** Absolute; a target outside of it, after all symbolic links, is refused with `outside_root`. */
  readonly root?: FilePath | undefined;
  /** Bytes of output that may be on the way unread; absent: the wire's own. */
  readonly windowBytes?: number | undefined;
}

/** Bytes where a name is not valid UTF-8. */
export type FilePath = WirePath;
