import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findProgram } from './docker-engine.ts';

export const noOpenssl = findProgram('openssl') === null ? 'openssl is not installed' : false;

/** A certificate for this machine by its own names, which is its own authority too, and its key. */
export class Certificate implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'wp-certificate-'));
  readonly certFile = join(this.#folder, 'cert.pem');
  readonly keyFile = join(this.#folder, 'key.pem');

  constructor() {
    execFileSync(
      'openssl',
      [
        ...[
          'req',
          '-x509',
          '-newkey',
          'ec',
          '-pkeyopt',
          'ec_paramgen_curve:prime256v1',
          '-nodes',
          '-days',
          '2',
        ],
        ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
        ...['-keyout', this.keyFile, '-out', this.certFile],
      ],
      { stdio: 'ignore' },
    );
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
