import type { SandboxRecord } from '../../domain/sandbox.ts';

/**
 * What a create of this dialect asks beyond the core's own terms is kept with the sandbox as metadata under these keys,
 * so that any process can show it again. They are not shown as metadata in this dialect, and not taken from its clients.
 */
export const xgenMetadataPrefix = 'xgen.';
export const xgenRequestKey = 'xgen.request';
export const xgenCreateKey = 'xgen.create';

/** A sandbox that this dialect made lives until its time, whatever is done with it. */
export function hasAbsoluteLifetime(record: Pick<SandboxRecord, 'claim'>): boolean {
  return Object.hasOwn(record.claim?.customisation.metadata ?? {}, xgenRequestKey);
}
