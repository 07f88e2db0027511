import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/package-root.ts';
import { documentOf, documentsOf, textOf } from './deployed-files.ts';
import {
  type Kustomization,
  kustomizationSchema,
  type Manifest,
  manifestSchema,
} from './kubernetes-schema.ts';

/**
 * What `kubectl kustomize` makes of a folder, as far as these folders ask for it: resources, patches by name, images,
 * replicas. So the overlay is checked on machines without kubectl too; where there is one, its own output is.
 */
export function kustomized(folder: string): unknown[] {
  const kustomization = kustomizationOf(folder);
  let documents = kustomization.resources.flatMap((resource) => {
    const path = join(folder, resource);
    if (existsSync(join(packageRoot(), path, 'kustomization.yaml'))) return kustomized(path);
    return documentsOf(textOf(path));
  });
  for (const { path } of kustomization.patches ?? []) {
    for (const patch of documentsOf(textOf(join(folder, path)))) {
      const target = documents.findIndex((document) => identityOf(document) === identityOf(patch));
      if (target < 0) throw new Error(`${path} patches ${identityOf(patch)}, which is not there`);
      documents = documents.with(target, merged(documents[target], patch));
    }
  }
  return documents.map((document) => withImages(withReplicas(document, kustomization), kustomization.images));
}

export function kustomizationOf(folder: string): Kustomization {
  return kustomizationSchema.parse(documentOf(join(folder, 'kustomization.yaml')));
}

/** Throws with the places of all fields that are wrong. */
export function manifestsIn(documents: readonly unknown[]): Manifest[] {
  return documents.map((document) => {
    const checked = manifestSchema.safeParse(document);
    if (checked.success) return checked.data;
    throw new Error(`${identityOf(document)}: ${JSON.stringify(checked.error.issues, null, 1)}`);
  });
}

/** A strategic merge: maps by key, lists of named things by name, everything else replaced. */
function merged(into: unknown, patch: unknown): unknown {
  if (isNamedList(into) && isNamedList(patch)) {
    const added = patch.filter((each) => !into.some((there) => there.name === each.name));
    const kept = into.map((there) => {
      const change = patch.find((each) => each.name === there.name);
      return change === undefined ? there : merged(there, change);
    });
    return [...kept, ...added];
  }
  if (!isMap(into) || !isMap(patch)) return patch;
  const entries = Object.entries(patch).map(([key, value]) => [
    key,
    key in into ? merged(into[key], value) : value,
  ]);
  return { ...into, ...Object.fromEntries(entries) };
}

function withReplicas(document: unknown, { replicas = [] }: Kustomization): unknown {
  const wanted = replicas.find(({ name }) => identityOf(document) === `Deployment ${name}`);
  return wanted === undefined ? document : merged(document, { spec: { replicas: wanted.count } });
}

function withImages(value: unknown, images: Kustomization['images'] = []): unknown {
  if (Array.isArray(value)) return value.map((each) => withImages(each, images));
  if (!isMap(value)) return value;
  const entries = Object.entries(value).map(([key, inner]) => {
    const change = images.find(({ name }) => key === 'image' && String(inner).split(':')[0] === name);
    if (change !== undefined) return [key, `${change.newName}:${change.newTag}`];
    return [key, withImages(inner, images)];
  });
  return Object.fromEntries(entries);
}

export function identityOf(document: unknown): string {
  const { kind, metadata } = document as { kind?: string; metadata?: { name?: string } };
  return `${kind} ${metadata?.name}`;
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isNamedList(value: unknown): value is { readonly name: string }[] {
  return Array.isArray(value) && value.every((each) => isMap(each) && typeof each.name === 'string');
}
