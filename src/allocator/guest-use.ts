import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import type { SandboxRecord } from '../domain/sandbox.ts';
import type { Guest } from '../guest-link/guest.ts';
import type { SandboxEnd } from './open-sandbox.ts';
import { unreachable } from './require-running.ts';

/** One use of a claimed sandbox's guest: over the link of this process, or over a connection to the node that has it. */
export interface GuestUse {
  readonly guest: ChannelOpener & Pick<Guest, 'spawn'>;
  /** How it ended for whoever uses it, once `guest.closed` has settled. */
  lost(): SandboxEnd;
  /** Nothing is opened any more. Once. */
  leave(): void;
}

export interface GuestAccess {
  /**
   * The link to a sandbox's guest, for the claim of this record to use; null when its node is not this process. Throws
   * when the node has the sandbox as another claim's (D7).
   */
  readonly guestOf: (record: SandboxRecord) => Guest | null;
  /**
   * The same on another node. Throws what that node refuses with, or the signal's reason. Absent: only sandboxes of this
   * process can be used.
   */
  readonly reach?: (record: SandboxRecord, signal?: AbortSignal) => Promise<GuestUse>;
}

export async function useGuest(
  { guestOf, reach }: GuestAccess,
  record: SandboxRecord,
  signal?: AbortSignal,
): Promise<GuestUse> {
  const guest = guestOf(record);
  if (guest) return { guest, lost: () => linkLost, leave() {} };
  if (reach === undefined) throw unreachable(record);
  return reach(record, signal);
}

const linkLost = { reason: 'link_lost', failed: true };
