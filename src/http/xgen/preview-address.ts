/** The port of a sandbox that a Host header names. */
export type PreviewAddress =
  | { readonly kind: 'port'; readonly sandboxId: string; readonly port: number }
  /** In the domain, and of another form. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'bad_port'; readonly sandboxId: string; readonly port: string };

/** `sbx-{id}-{port}.{domain}`, in any case and with any port; null for a host that is not in the domain. */
export function parsePreviewHost(host: string | undefined, domain: string): PreviewAddress | null {
  const name = withoutPort(host ?? '').toLowerCase();
  const suffix = `.${withoutPort(domain).toLowerCase()}`;
  if (!name.endsWith(suffix)) return null;
  const label = name.slice(0, -suffix.length);
  const dash = label.lastIndexOf('-');
  if (!label.startsWith('sbx-') || dash <= 'sbx-'.length) return { kind: 'unknown' };
  const sandboxId = label.slice('sbx-'.length, dash);
  const port = label.slice(dash + 1);
  if (!/^\d{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65_535) {
    return { kind: 'bad_port', sandboxId, port };
  }
  return { kind: 'port', sandboxId, port: Number(port) };
}

/** Names below `localhost` are of this machine, where nobody has certificates; all others are reached over TLS. */
export function isHttpsDomain(domain: string): boolean {
  const host = withoutPort(domain);
  return host !== 'localhost' && !host.endsWith('.localhost');
}

function withoutPort(host: string): string {
  return host.replace(/:\d+$/, '');
}
