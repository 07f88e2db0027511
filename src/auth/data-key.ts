import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';
import { chmodSync, closeSync, linkSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** What data tokens are checked by: the public half of an Ed25519 key. */
export interface VerifyingKey {
  /** A hash of the public key: nobody has to choose one, and two services with one key agree on it. */
  readonly kid: string;
  readonly publicKey: KeyObject;
}

/** An Ed25519 key that signs data tokens. */
export interface DataKey extends VerifyingKey {
  readonly privateKey: KeyObject;
}

/**
 * The key in the file that the configuration names; otherwise the one in the state folder, made at the first start and
 * kept, so that tokens outlive a restart. Throws with a sentence that names the file and nothing of its content.
 */
export function loadDataKey(options: DataKeyPlace): DataKey {
  const path = dataKeyFileOf(options);
  if (options.file !== null) return readSigningKey(path);
  try {
    return readSigningKey(path);
  } catch (error) {
    if (!(error instanceof Error && isMissing(error.cause))) throw error;
  }
  writeKey(path);
  return readSigningKey(path);
}

/** The same for a process that only checks tokens: of the key that signs them the public half will do. */
export function loadVerifyingKey(options: DataKeyPlace): DataKey | VerifyingKey {
  return options.file === null ? loadDataKey(options) : readKey(options.file);
}

export function canSign(key: DataKey | VerifyingKey): key is DataKey {
  return 'privateKey' in key;
}

export interface DataKeyPlace {
  readonly file: string | null;
  readonly stateFolder: string;
}

/** Where that key is, or will be. */
export function dataKeyFileOf(options: DataKeyPlace): string {
  return options.file ?? join(options.stateFolder, keyFileName);
}

export function dataKeyOf(privateKey: KeyObject): DataKey {
  return { ...verifyingKeyOf(createPublicKey(privateKey)), privateKey };
}

export function verifyingKeyOf(publicKey: KeyObject): VerifyingKey {
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const kid = createHash('sha256').update(spki).digest('base64url').slice(0, kidCharacters);
  return { kid, publicKey };
}

export function newDataKey(): DataKey {
  return dataKeyOf(generateKeyPairSync('ed25519').privateKey);
}

function readSigningKey(path: string): DataKey {
  const key = readKey(path);
  if (canSign(key)) return key;
  throw new Error(
    `the key of data tokens: ${path} holds a public key, which signs nothing; nodes do with it, and whatever serves calls needs the private one`,
  );
}

function readKey(path: string): DataKey | VerifyingKey {
  let key: KeyObject;
  try {
    const pem = readFileSync(path);
    key = pem.includes('-----BEGIN PUBLIC KEY-----') ? createPublicKey(pem) : createPrivateKey(pem);
  } catch (cause) {
    const why = isMissing(cause) ? 'is not there' : 'cannot be read as a key in PEM, private or public';
    throw new Error(`the key of data tokens: ${path} ${why}`, { cause });
  }
  if (key.asymmetricKeyType !== 'ed25519') {
    throw new Error(`the key of data tokens: ${path} holds a key that is not Ed25519`);
  }
  return key.type === 'public' ? verifyingKeyOf(key) : dataKeyOf(key);
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
