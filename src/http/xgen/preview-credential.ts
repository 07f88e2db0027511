import type { IncomingMessage } from 'node:http';
import type { SessionGrant } from '../../allocator/api.ts';
import type { XgenCredentials } from '../../data-plane/xgen/xgen-credentials.ts';
import { XgenFailure } from '../../data-plane/xgen/xgen-failure.ts';

/** Who looks at a preview, and what of the request is ours and never reaches the sandbox. */
export interface PreviewCaller {
  /** null: nobody that we know, where that is enough. */
  readonly grant: SessionGrant | null;
  /** The request as it goes on. */
  readonly path: string;
  readonly headers: readonly (readonly [string, string])[];
  /** The credential was in the address: a browser is sent to `path` with it as a cookie instead. */
  readonly cookie: string | null;
}

/**
 * By a header, the cookie, or a token in the address. A header that is no credential of this service belongs to what runs
 * in the sandbox and passes through, as do all other cookies, and a token in the address that is not ours. Throws XgenFailure UNAUTHORIZED.
 */
export function previewCaller(
  request: IncomingMessage,
  credentials: XgenCredentials,
  auth: 'required' | 'public',
): PreviewCaller {
  const url = request.url ?? '/';
  const { path, token } = splitToken(url);
  const { cookies, ours } = splitCookies(request.headers.cookie);
  const attempt = (check: () => SessionGrant) => (credentials.required ? orNull(check) : null);
  const byHeader = attempt(() => credentials.ofUpgrade(request.headers.authorization, null));
  const byCookie = ours === null ? null : attempt(() => credentials.ofUpgrade(undefined, ours));
  const byToken = token === null ? null : attempt(() => credentials.ofUpgrade(undefined, token));
  const headers = headersOf(request).filter(([name]) => {
    const lower = name.toLowerCase();
    if (lower === 'authorization') return byHeader === null;
    // What the client says of its own way here is not passed on as if we had said it.
    return lower !== 'cookie' && !forwardedHeaders.has(lower);
  });
  if (cookies !== '') headers.push(['Cookie', cookies]);
  const passed = { path: byToken === null ? url : path, headers };
  if (auth === 'public') return { ...passed, grant: null, cookie: null };
  if (!credentials.required) return { ...passed, grant: credentials.ofHeader(undefined), cookie: null };
  const grant = byHeader ?? byCookie ?? byToken;
  if (grant === null) {
    const hasNone = request.headers.authorization === undefined && ours === null && token === null;
    throw new XgenFailure('UNAUTHORIZED', hasNone ? 'missing authorization' : 'invalid token');
  }
  return { ...passed, grant, cookie: byHeader === null && byToken !== null ? token : null };
}

export function previewCookie(token: string, isHttps: boolean): string {
  const secure = isHttps ? '; Secure' : '';
  return `${cookieName}=${token}; Path=/; HttpOnly; SameSite=Lax; Max-Age=${cookieSeconds}${secure}`;
}

function orNull(check: () => SessionGrant): SessionGrant | null {
  try {
    return check();
  } catch (error) {
    if (error instanceof XgenFailure) return null;
    throw error;
  }
}

/** The address without the token; everything else in it stays as it was written. */
function splitToken(url: string): { readonly path: string; readonly token: string | null } {
  const at = url.indexOf('?');
  if (at === -1) return { path: url, token: null };
  const pairs = url.slice(at + 1).split('&');
  const ours = pairs.find((pair) => pair.startsWith('token='));
  if (ours === undefined) return { path: url, token: null };
  const rest = pairs.filter((pair) => pair !== ours).join('&');
  const token = new URLSearchParams(ours).get('token');
  return { path: `${url.slice(0, at)}${rest === '' ? '' : `?${rest}`}`, token };
}

function splitCookies(header: string | undefined): {
  readonly cookies: string;
  readonly ours: string | null;
} {
  const all = (header ?? '').split(/; */).filter((cookie) => cookie !== '');
  const ours = all.find((cookie) => cookie.startsWith(`${cookieName}=`));
  return {
    cookies: all.filter((cookie) => !cookie.startsWith(`${cookieName}=`)).join('; '),
    ours: ours?.slice(cookieName.length + 1) ?? null,
  };
}

/** As they were sent: order, case and repetition. */
function headersOf(request: IncomingMessage): [string, string][] {
  const headers: [string, string][] = [];
  for (let at = 0; at + 1 < request.rawHeaders.length; at += 2) {
    headers.push([request.rawHeaders[at] ?? '', request.rawHeaders[at + 1] ?? '']);
  }
  return headers;
}

const forwardedHeaders: ReadonlySet<string> = new Set([
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-forwarded-for',
]);
const cookieName = 'warmpool_preview';
/** As long as the token in it. */
const cookieSeconds = 900;
