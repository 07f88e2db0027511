import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';
import { chmodSync, closeSync, linkSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** An Ed25519 key that signs data tokens. */
export interface DataKey {
  /** A hash of the public key: nobody has to choose one, and two services with one key agree on it. */
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

/**
 * The key in the file that the configuration names; otherwise the one in the state folder, made at the first start and
 * kept, so that tokens outlive a restart. Throws with a sentence that names the file and nothing of its content.
 */
export function loadDataKey(options: {
  readonly file: string | null;
  readonly stateFolder: string;
}): DataKey {
  const path = dataKeyFileOf(options);
  if (options.file !== null) return readKey(path);
  try {
    return readKey(path);
  } catch (error) {
    if (!(error instanceof Error && isMissing(error.cause))) throw error;
  }
  writeKey(path);
  return readKey(path);
}

/** Where that key is, or will be. */
export function dataKeyFileOf(options: {
  readonly file: string | null;
  readonly stateFolder: string;
}): string {
  return options.file ?? join(options.stateFolder, keyFileName);
}

export function dataKeyOf(privateKey: KeyObject): DataKey {
  const publicKey = createPublicKey(privateKey);
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const kid = createHash('sha256').update(spki).digest('base64url').slice(0, kidCharacters);
  return { kid, privateKey, publicKey };
}

export function newDataKey(): DataKey {
  return dataKeyOf(generateKeyPairSync('ed25519').privateKey);
}

function readKey(path: string): DataKey {
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(readFileSync(path));
  } catch (cause) {
    const why = isMissing(cause) ? 'is not there' : 'cannot be read as a private key in PEM';
    throw new Error(`the key of data tokens: ${path} ${why}`, { cause });
  }
  if (privateKey.asymmetricKeyType !== 'ed25519') {
    throw new Error(`the key of data tokens: ${path} holds a key that is not Ed25519`);
  }
  return dataKeyOf(privateKey);
}

/** Whole or not at all, and never over one that another process has just made. */
function writeKey(path: string): void {
  const pem = newDataKey().privateKey.export({ type: 'pkcs8', format: 'pem' });
  const draft = `${path}.${process.pid}`;
  const file = openSync(draft, 'wx', 0o600);
  try {
    writeSync(file, String(pem));
    closeSync(file);
    chmodSync(draft, 0o600);
    linkSync(draft, path);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

const keyFileName = 'data-key.pem';
/** 96 bits: enough that two keys never share one. */
const kidCharacters = 16;
