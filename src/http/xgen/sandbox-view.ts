import type { XgenVersion } from '../../data-plane/xgen/xgen-failure.ts';
import { xgenMetadataPrefix, xgenRequestKey } from '../../data-plane/xgen/xgen-lifetime.ts';
import type { SandboxRecord } from '../../domain/sandbox.ts';
import { isObject } from './body-reader.ts';
import type { XgenCreate } from './create-request.ts';
import { isHttpsDomain } from './preview-address.ts';
import { claimedAt, statusOf } from './tenant-sandboxes.ts';

/** What a sandbox is shown with beside its record. */
export interface XgenPlaces {
  /** Where this service is reached, without a slash at its end. */
  readonly externalUrl: string;
  /** May carry a port. */
  readonly previewDomain: string;
}

/** What is kept of a create in the sandbox's metadata. */
export function keptRequest(create: Pick<XgenCreate, 'ports' | 'timeoutMs'>): string {
  return JSON.stringify({ ports: create.ports, timeout_ms: create.timeoutMs });
}

export function sandboxView(record: SandboxRecord, version: XgenVersion, places: XgenPlaces): object {
  const metadata = record.claim?.customisation.metadata ?? {};
  const { ports, timeoutMs } = readKept(metadata[xgenRequestKey]);
  const createdAtMs = claimedAt(record);
  // One that is still booting has no lease yet, and one that ends has none any more.
  const expiresAtMs = record.lease?.expiresAtMs ?? record.expiredAtMs ?? createdAtMs + timeoutMs;
  return {
    id: record.id,
    status: statusOf(record.state),
    template: record.pool,
    ws_url: `${places.externalUrl}/api/${version}/sandboxes/${record.id}/ws`,
    preview_urls: Object.fromEntries(
      ports.map((port) => [String(port), previewUrl(record.id, port, places)]),
    ),
    vnc_url: null,
    ...(version === 'v1'
      ? { created_at: timeOf(createdAtMs), expires_at: timeOf(expiresAtMs) }
      : {
          created_at_ms: createdAtMs,
          expires_at_ms: expiresAtMs,
          from_warm_pool: record.launch === 'warm',
        }),
    metadata: Object.fromEntries(
      Object.entries(metadata).filter(([key]) => !key.startsWith(xgenMetadataPrefix)),
    ),
  };
}

export function previewUrl(id: string, port: number, { previewDomain }: XgenPlaces): string {
  const scheme = isHttpsDomain(previewDomain) ? 'https' : 'http';
  return `${scheme}://sbx-${id}-${port}.${previewDomain}`;
}

/** UTC with exactly three digits of a second: some clients parse nothing else. */
export function timeOf(unixMs: number): string {
  return new Date(unixMs).toISOString();
}

/** Other dialects may write the same key: what is not ours reads as nothing. */
function readKept(text: string | undefined): {
  readonly ports: readonly number[];
  readonly timeoutMs: number;
} {
  try {
    const kept: unknown = JSON.parse(text ?? '{}');
    const { ports, timeout_ms: timeoutMs } = isObject(kept) ? kept : {};
    return {
      ports: Array.isArray(ports) ? ports.filter((port) => Number.isInteger(port)) : [],
      timeoutMs: typeof timeoutMs === 'number' ? timeoutMs : 0,
    };
  } catch {
    return { ports: [], timeoutMs: 0 };
  }
}
