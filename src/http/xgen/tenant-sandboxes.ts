import type { AllocatorApi, Principal } from '../../allocator/api.ts';
import type { SandboxRecord, SandboxState } from '../../domain/sandbox.ts';

/** Every sandbox of the caller's tenant that is not gone, newest first. */
export async function tenantSandboxes(
  allocator: Pick<AllocatorApi, 'listSandboxes'>,
  caller: Principal,
): Promise<readonly SandboxRecord[]> {
  const records: SandboxRecord[] = [];
  let pageToken = '';
  do {
    const page = await allocator.listSandboxes(caller, {
      pageSize: 1_000,
      ...(pageToken !== '' && { pageToken }),
    });
    records.push(...page.records.filter(({ state }) => state !== 'stopped'));
    pageToken = page.nextPageToken ?? '';
  } while (pageToken !== '');
  return records.sort((a, b) => claimedAt(b) - claimedAt(a));
}

export function claimedAt(record: SandboxRecord): number {
  return record.claim?.claimedAtMs ?? record.createdAtMs;
}

/** As this dialect names it. Asleep is running here: whoever uses it wakes it. */
export function statusOf(state: SandboxState): XgenStatus {
  return statuses[state];
}

/** What the published API counts as in use. */
export function isActive(status: XgenStatus): boolean {
  return status === 'starting' || status === 'running' || status === 'stopping';
}

export const xgenStatuses = ['starting', 'running', 'stopping', 'stopped', 'error'] as const;
export type XgenStatus = (typeof xgenStatuses)[number];

const statuses: Readonly<Record<SandboxState, XgenStatus>> = {
  starting: 'starting',
  ready: 'starting',
  running: 'running',
  pausing: 'running',
  paused: 'running',
  resuming: 'running',
  hibernating: 'running',
  hibernated: 'running',
  waking: 'running',
  stopping: 'stopping',
  stopped: 'stopped',
  failed: 'error',
};
