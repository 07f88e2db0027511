import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { TlsFiles } from '../config/config.ts';
import { invalidRequest } from '../domain/errors.ts';
import type { NodeTls } from '../node-link/node-socket.ts';

/** What allocators know nodes by, and show them. Throws INVALID_REQUEST with the setting whose file cannot be used. */
export function readNodeTls({ caFile, certFile, keyFile }: TlsFiles & { caFile: string | null }): NodeTls {
  const ca = caFile === null ? {} : { ca: readPem('WARMPOOL_NODE_CA_FILE', caFile) };
  if (certFile === null || keyFile === null) return ca;
  const cert = readPem('WARMPOOL_NODE_CERT_FILE', certFile);
  const key = readPem('WARMPOOL_NODE_KEY_FILE', keyFile);
  assertPair('WARMPOOL_NODE_CERT_FILE', { cert, key });
  return { ...ca, cert, key };
}

/** The files of the data port's certificate, which are a pair; null: it speaks without TLS. */
export function dataTlsOf({ certFile, keyFile }: TlsFiles): { certFile: string; keyFile: string } | null {
  if (certFile === null || keyFile === null) return null;
  const cert = readPem('WARMPOOL_DATA_CERT_FILE', certFile);
  const key = readPem('WARMPOOL_DATA_CERT_KEY_FILE', keyFile);
  assertPair('WARMPOOL_DATA_CERT_FILE', { cert, key });
  return { certFile, keyFile };
}

function readPem(setting: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    throw invalidRequest([{ field: setting, description: `the file ${path} cannot be read (${code})` }]);
  }
}

/** Nothing of the files is repeated. */
function assertPair(field: string, pair: { readonly cert: string; readonly key: string }): void {
  try {
    createSecureContext(pair);
  } catch {
    const description = 'it and its key cannot be used: they are to be a certificate and its own key, in PEM';
    throw invalidRequest([{ field, description }]);
  }
}
