import { createHash } from 'node:crypto';

/**
 * A hash tree over texts: one signature of its root vouches for each of them, and whoever is given one text and its path
 * learns nothing of the others. Hashes are SHA-256 as 43 characters. Leaves and inner nodes are hashed with different
 * beginnings, so that neither passes for the other (RFC 9162, 2.1.1); a pair is hashed in its alphabetical order, so that a
 * path needs no directions.
 */
export function growTree(leaves: readonly string[]): HashTree {
  const paths = leaves.map(() => '');
  let level = leaves.map(leafHash);
  for (let height = 0; level.length > 1; height += 1) {
    for (let index = 0; index < paths.length; index += 1) paths[index] += level[(index >> height) ^ 1] ?? '';
    const above: string[] = [];
    for (let index = 0; index < level.length; index += 2)
      above.push(pairHash(level[index], level[index + 1]));
    level = above;
  }
  return { root: level[0] ?? '', paths };
}

export interface HashTree {
  readonly root: string;
  /** For each leaf: the hashes that lead from it to the root, one behind the other. */
  readonly paths: readonly string[];
}

/** The root of the tree that has this leaf at the end of this path. */
export function rootOver(leaf: string, path: string): string {
  let hash = leafHash(leaf);
  for (let at = 0; at < path.length; at += hashCharacters) {
    hash = pairHash(hash, path.slice(at, at + hashCharacters));
  }
  return hash;
}

export const hashCharacters = 43;

function leafHash(leaf: string): string {
  return sha256(`leaf.${leaf}`);
}

/** The last of an odd number has no partner, and goes up as it is. */
function pairHash(a = '', b = ''): string {
  if (b === '') return a;
  return sha256(a < b ? `pair.${a}.${b}` : `pair.${b}.${a}`);
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
