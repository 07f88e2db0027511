import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { loadPools } from '../../src/config/pool-files.ts';
import { packageRoot } from '../../src/package-root.ts';
import {
  complaintsAbout,
  documentsOf,
  filesBelow,
  imagePorts,
  imageVariables,
  textOf,
} from './deployed-files.ts';
import { type Container, type Manifest, manifestSchema, type PodTemplate } from './kubernetes-schema.ts';
import { identityOf, kustomizationOf, kustomized, manifestsIn } from './kustomized.ts';
import { misspelt } from './misspelt.ts';

const folders = ['base', 'redis', 'overlays/example'].map((name) => `deploy/kubernetes/${name}`);
const overlay = 'deploy/kubernetes/overlays/example';

type Labels = Readonly<Record<string, string>>;
type Selector = { readonly matchLabels?: Labels | undefined; readonly matchExpressions?: unknown };

interface Workload {
  readonly name: string;
  readonly selector: Selector;
  readonly labels: Labels;
  readonly spec: PodTemplate['spec'];
  readonly container: Container;
}

const everything = manifestsIn(kustomized(overlay));
const workloads = everything.flatMap((manifest) => workloadOf(manifest));
const [allocator, node, redis] = ['allocator', 'node', 'redis'].map((component) => {
  const found = workloads.find((each) => each.labels['app.kubernetes.io/component'] === component);
  assert.ok(found, component);
  return found;
}) as [Workload, Workload, Workload];

function workloadOf(manifest: Manifest): Workload[] {
  if (manifest.kind !== 'Deployment' && manifest.kind !== 'DaemonSet' && manifest.kind !== 'StatefulSet')
    return [];
  const { selector, template } = manifest.spec;
  const [container] = template.spec.containers;
  assert.ok(container);
  return [
    {
      name: identityOf(manifest),
      selector,
      labels: template.metadata.labels,
      spec: template.spec,
      container,
    },
  ];
}

function selects({ matchLabels = {} }: Selector, labels: Labels): boolean {
  return Object.entries(matchLabels).every(([key, value]) => labels[key] === value);
}

function variablesOf({ env = [] }: Container): Record<string, string> {
  const samples = { 'status.podIP': '10.0.0.7', 'spec.nodeName': 'machine-1.internal' };
  const values: Record<string, string> = {};
  for (const variable of env) {
    if ('value' in variable) values[variable.name] = variable.value;
    else if ('fieldRef' in variable.valueFrom)
      values[variable.name] = samples[variable.valueFrom.fieldRef.fieldPath];
    else values[variable.name] = variable.name === 'REDIS_URL' ? 'redis://u:p@warmpool-redis:6379' : 'secret';
  }
  for (const [name, value] of Object.entries(values))
    values[name] = value.replace(/\$\((\w+)\)/g, (_all, other: string) => values[other] ?? '');
  return values;
}

test('each manifest has only fields that Kubernetes knows, and each kustomization only kustomize’s', () => {
  for (const folder of folders) manifestsIn(kustomized(folder));
});

test('one letter too many in any field of any manifest is found', () => {
  const free = new Set(['labels', 'matchLabels', 'nodeSelector', 'data']);
  let tried = 0;
  for (const document of kustomized(overlay)) {
    const freeHere = identityOf(document).startsWith('Service ') ? new Set([...free, 'selector']) : free;
    for (const wrong of misspelt(document, freeHere)) {
      tried += 1;
      assert.equal(
        manifestSchema.safeParse(wrong.document).success,
        false,
        `${identityOf(document)} ${wrong.place}`,
      );
    }
  }
  assert.ok(tried > 300, String(tried));
});

test('every file of a folder is part of its kustomization, and every part is there', () => {
  for (const folder of folders) {
    const { resources, patches = [], configMapGenerator = [] } = kustomizationOf(folder);
    const named = [
      ...resources,
      ...patches.map(({ path }) => path),
      ...configMapGenerator.flatMap(({ files }) => files),
    ];
    for (const path of named) assert.ok(existsSync(join(packageRoot(), folder, path)), `${folder}/${path}`);
    const there = filesBelow(folder).filter((path) => !path.endsWith('/kustomization.yaml'));
    assert.deepEqual(
      there.filter((path) => !named.includes(path.slice(folder.length + 1))),
      [],
    );
  }
});

test('the images that an overlay replaces are those that the base runs, and the stages of the Dockerfile', () => {
  const version: unknown = JSON.parse(textOf('package.json')).version;
  const inBase = manifestsIn(kustomized('deploy/kubernetes/base')).flatMap((each) => workloadOf(each));
  const images = inBase.map((each) => each.container.image).sort();
  assert.deepEqual(images, [`warmpool/allocator:${version}`, `warmpool/node:${version}`]);
  const replaced = kustomizationOf(overlay).images ?? [];
  assert.deepEqual(replaced.map(({ name, newTag }) => `${name}:${newTag}`).sort(), images);
  const stages = [...textOf('Dockerfile').matchAll(/^FROM \S+ AS (\w+)$/gm)].map((match) => match[1]);
  for (const image of images) assert.ok(stages.includes(image.split(/[/:]/)[1]), image);
});

test('selectors, services, budgets and network policies select the pods they are named for', () => {
  for (const workload of workloads) {
    assert.ok(selects(workload.selector, workload.labels), workload.name);
    for (const other of workloads)
      if (other !== workload)
        assert.ok(!selects(workload.selector, other.labels), `${workload.name} and ${other.name}`);
    for (const { labelSelector } of workload.spec.topologySpreadConstraints ?? [])
      assert.ok(selects(labelSelector, workload.labels), workload.name);
  }
  for (const manifest of everything) {
    const { kind } = manifest;
    if (kind !== 'Service' && kind !== 'PodDisruptionBudget' && kind !== 'NetworkPolicy') continue;
    const selector =
      kind === 'Service'
        ? { matchLabels: manifest.spec.selector }
        : kind === 'PodDisruptionBudget'
          ? manifest.spec.selector
          : manifest.spec.podSelector;
    const selected = workloads.filter((each) => selects(selector, each.labels));
    assert.deepEqual(
      selected.map((each) => each.labels['app.kubernetes.io/component']),
      [manifest.metadata.labels?.['app.kubernetes.io/component']],
      identityOf(manifest),
    );
    if (kind !== 'Service') continue;
    const [{ container }] = selected as [Workload];
    for (const port of manifest.spec.ports) {
      const open = container.ports.find(({ name }) => name === port.targetPort);
      assert.equal(open?.containerPort, port.port, `${identityOf(manifest)} ${port.name}`);
    }
  }
  for (const workload of workloads) {
    const guarded = everything.some(
      (each) => each.kind === 'NetworkPolicy' && selects(each.spec.podSelector, workload.labels),
    );
    assert.ok(guarded, `a network policy for ${workload.name}`);
  }
});

test('network policies open ports that are there, and select the pods of others by nothing of ours', () => {
  for (const manifest of everything) {
    if (manifest.kind !== 'NetworkPolicy') continue;
    const own = workloads.find((each) => selects(manifest.spec.podSelector, each.labels));
    for (const { ports } of manifest.spec.ingress)
      for (const { port } of ports)
        assert.ok(
          own?.container.ports.some(({ name }) => name === port),
          `${own?.name} ${port}`,
        );
    for (const { to, ports } of manifest.spec.egress) {
      for (const { podSelector, namespaceSelector } of to) {
        if (namespaceSelector !== undefined) {
          const keys = Object.keys(podSelector?.matchLabels ?? {});
          assert.deepEqual(keys, ['k8s-app'], 'kustomize must not have written our labels into it');
          continue;
        }
        const target = workloads.find((each) => selects(podSelector ?? {}, each.labels));
        for (const { port } of ports) {
          const open = target?.container.ports.some(
            ({ name, containerPort }) => name === port || containerPort === port,
          );
          assert.ok(open, `${target?.name} ${port}`);
        }
      }
    }
  }
});

test('ports, probes and settings are those of the image and the program', () => {
  const ports = imagePorts();
  const routes = textOf('src/http/http-server.ts');
  for (const { name, container } of [allocator, node]) {
    const variables = { ...imageVariables(), ...variablesOf(container) };
    assert.deepEqual(complaintsAbout(variables), [], name);
    for (const open of container.ports) {
      assert.equal(open.containerPort, ports[open.name as keyof typeof ports], `${name} ${open.name}`);
      const listen = variables[`WARMPOOL_${open.name.toUpperCase()}_LISTEN`];
      assert.equal(listen, `0.0.0.0:${open.containerPort}`, name);
    }
    for (const probe of [container.startupProbe, container.livenessProbe, container.readinessProbe]) {
      assert.ok(probe && 'httpGet' in probe, name);
      assert.equal(probe.httpGet.port, 'http');
      assert.ok(routes.includes(`app.get('${probe.httpGet.path}'`), probe.httpGet.path);
    }
    assert.equal(
      container.readinessProbe &&
        'httpGet' in container.readinessProbe &&
        container.readinessProbe.httpGet.path,
      '/readyz',
    );
  }
  assert.equal(variablesOf(allocator.container).WARMPOOL_ROLE, 'allocator');
  assert.equal(variablesOf(node.container).WARMPOOL_ROLE, 'node');
  assert.equal(variablesOf(node.container).WARMPOOL_NODE_URL, `ws://10.0.0.7:${ports.data}`);
});

test('what is mounted is there, and what is there is mounted', () => {
  const claims = everything.flatMap((each) =>
    each.kind === 'StatefulSet' ? each.spec.volumeClaimTemplates.map(({ metadata }) => metadata.name) : [],
  );
  for (const { name, spec, container } of workloads) {
    const volumes = spec.volumes.map((volume) => volume.name);
    const mounts = container.volumeMounts.map((mount) => mount.name);
    assert.deepEqual(mounts.filter((mount) => !claims.includes(mount)).sort(), volumes.sort(), name);
    for (const value of Object.values(variablesOf(container))) {
      if (!value.startsWith('/etc/warmpool/')) continue;
      const mount = container.volumeMounts.find(({ mountPath }) => value.startsWith(mountPath));
      const volume = spec.volumes.find((each) => each.name === mount?.name);
      assert.ok(volume, `${name} ${value}`);
      if ('secret' in volume)
        assert.ok(
          volume.secret.items?.some(({ path }) => `${mount?.mountPath}/${path}` === value),
          value,
        );
    }
  }
});

test('no pod gets a token or variables of services, and only the node is privileged', () => {
  for (const { name, spec, container } of workloads) {
    assert.equal(spec.automountServiceAccountToken, false, name);
    assert.equal(spec.enableServiceLinks, false, name);
    if (name === node.name) continue;
    assert.equal(spec.securityContext?.runAsNonRoot, true, name);
    assert.deepEqual(
      container.securityContext,
      { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
      name,
    );
  }
  assert.equal(allocator.spec.securityContext?.runAsUser, 10_001);
  assert.ok(textOf('Dockerfile').includes('USER 10001:10001'));
});

test('D19 Kubernetes waits longer than a drain takes', () => {
  for (const { name, spec, container } of [allocator, node]) {
    const drainS = Number.parseInt(variablesOf(container).WARMPOOL_DRAIN_TIMEOUT ?? '', 10);
    const preStopS = Number(container.lifecycle?.preStop.exec.command.at(-1) ?? 0);
    assert.ok(spec.terminationGracePeriodSeconds >= drainS + preStopS + 20, name);
  }
});

test('Redis keeps what it is told and evicts nothing', () => {
  const { command = [] } = redis.container;
  assert.equal(command[command.indexOf('--appendonly') + 1], 'yes');
  assert.equal(command[command.indexOf('--maxmemory-policy') + 1], 'noeviction');
});

test('the pool files are pools', () => {
  for (const folder of [...folders.filter((each) => each !== 'deploy/kubernetes/redis')])
    assert.ok(loadPools(join(packageRoot(), folder, 'pools')).length > 0);
});

test('the page says how to make each secret that the manifests read', () => {
  const page = textOf('docs/deploy.md');
  for (const { spec, container } of workloads) {
    for (const volume of spec.volumes) {
      if (!('secret' in volume)) continue;
      assert.ok(page.includes(volume.secret.secretName), volume.secret.secretName);
      for (const { key } of volume.secret.items ?? []) assert.ok(page.includes(`--from-file=${key}=`), key);
    }
    for (const variable of container.env ?? []) {
      if (!('valueFrom' in variable) || !('secretKeyRef' in variable.valueFrom)) continue;
      const { name, key } = variable.valueFrom.secretKeyRef;
      assert.ok(page.includes(name) && page.includes(`--from-file=${key}=`), key);
    }
  }
});

const kubectl = await promisify(execFile)('kubectl', ['version', '--client']).then(
  () => false as const,
  () => 'kubectl is not installed',
);

test('kubectl kustomize makes of the folders what these tests have checked', { skip: kubectl }, async () => {
  for (const folder of folders) {
    const { stdout } = await promisify(execFile)('kubectl', ['kustomize', folder], { cwd: packageRoot() });
    const made = manifestsIn(documentsOf(stdout)).filter(({ kind }) => kind !== 'ConfigMap');
    const ours = manifestsIn(kustomized(folder));
    const specs = (list: readonly Manifest[]) =>
      Object.fromEntries(list.map((each) => [identityOf(each), 'spec' in each ? normal(each.spec) : null]));
    assert.deepEqual(specs(made), specs(ours));
  }
});

/** Without the label that kustomize adds to whatever could have one, and named things by name: it puts patches first. */
function normal(spec: unknown): unknown {
  return JSON.parse(JSON.stringify(spec), (key, value) => {
    if (Array.isArray(value) && value.every((each) => typeof each?.name === 'string'))
      return value.sort((a, b) => (a.name < b.name ? -1 : 1));
    if (key !== 'labels') return value;
    const { 'app.kubernetes.io/part-of': _added, ...rest } = value as Labels;
    return Object.keys(rest).length === 0 ? undefined : rest;
  });
}
