import { readFileSync } from 'node:fs';
import { invalidRequest } from '../../domain/errors.ts';
import type { RedisTls } from './redis-url.ts';

export interface RedisTlsFiles {
  readonly caFile: string | null;
  readonly certFile: string | null;
  readonly keyFile: string | null;
}

/** Throws INVALID_REQUEST with the setting whose file cannot be read; nothing of a file's contents is repeated. */
export function readRedisTls({ caFile, certFile, keyFile }: RedisTlsFiles): RedisTls {
  if ((certFile === null) !== (keyFile === null)) {
    throw invalidRequest([
      {
        field: certFile === null ? 'WARMPOOL_REDIS_CERT_FILE' : 'WARMPOOL_REDIS_KEY_FILE',
        description: 'is missing: a certificate and its key come together',
      },
    ]);
  }
  return {
    ...(caFile === null ? {} : { ca: readPem('WARMPOOL_REDIS_CA_FILE', caFile) }),
    ...(certFile === null ? {} : { cert: readPem('WARMPOOL_REDIS_CERT_FILE', certFile) }),
    ...(keyFile === null ? {} : { key: readPem('WARMPOOL_REDIS_KEY_FILE', keyFile) }),
  };
}

function readPem(setting: string, path: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    throw invalidRequest([{ field: setting, description: `the file ${path} cannot be read (${code})` }]);
  }
  if (!text.includes('-----BEGIN ')) {
    throw invalidRequest([{ field: setting, description: `the file ${path} is not in PEM format` }]);
  }
  return text;
}
