import { z } from 'zod';

/**
 * Exactly the fields of the Kubernetes API that the manifests use, each with its type: a field that is misspelt, at the
 * wrong depth or of the wrong type is an error, as it is for an API server told to validate strictly. It is kept by hand,
 * because no package of the API's whole schema is small enough to be worth a dependency: whoever uses a field for the
 * first time looks it up in the API reference and adds it here.
 */
export const manifestSchema = z.discriminatedUnion('kind', [
  resource('v1', 'Namespace', {}),
  resource('v1', 'ServiceAccount', { automountServiceAccountToken: z.boolean() }),
  resource('v1', 'ConfigMap', { data: z.record(z.string(), z.string()) }),
  resource('v1', 'Service', {
    spec: z.strictObject({
      type: z.enum(['ClusterIP', 'LoadBalancer', 'NodePort']),
      selector: labels(),
      ports: z.array(
        z.strictObject({
          name: portName(),
          appProtocol: z.string().optional(),
          protocol: protocol().optional(),
          port: portNumber(),
          targetPort: portRef(),
        }),
      ),
    }),
  }),
  resource('policy/v1', 'PodDisruptionBudget', {
    spec: z.strictObject({ minAvailable: z.int().min(1), selector: labelSelector() }),
  }),
  resource('networking.k8s.io/v1', 'NetworkPolicy', {
    spec: z.strictObject({
      podSelector: labelSelector(),
      policyTypes: z.array(z.enum(['Ingress', 'Egress'])),
      ingress: z.array(z.strictObject({ from: z.array(peer()).min(1), ports: policyPorts() })),
      egress: z.array(z.strictObject({ to: z.array(peer()).min(1), ports: policyPorts() })),
    }),
  }),
  resource('apps/v1', 'Deployment', {
    spec: z.strictObject({
      replicas: z.int().min(0),
      revisionHistoryLimit: z.int().optional(),
      selector: labelSelector(),
      strategy: z.strictObject({
        type: z.literal('RollingUpdate'),
        rollingUpdate: z.strictObject({ maxSurge: z.int(), maxUnavailable: z.int() }),
      }),
      template: podTemplate(),
    }),
  }),
  resource('apps/v1', 'DaemonSet', {
    spec: z.strictObject({
      revisionHistoryLimit: z.int().optional(),
      selector: labelSelector(),
      updateStrategy: z.strictObject({
        type: z.enum(['RollingUpdate', 'OnDelete']),
        rollingUpdate: z.strictObject({ maxUnavailable: z.int() }).optional(),
      }),
      template: podTemplate(),
    }),
  }),
  resource('apps/v1', 'StatefulSet', {
    spec: z.strictObject({
      serviceName: name(),
      replicas: z.int(),
      selector: labelSelector(),
      template: podTemplate(),
      volumeClaimTemplates: z.array(
        z.strictObject({
          metadata: z.strictObject({ name: name(), labels: labels().optional() }),
          spec: z.strictObject({
            accessModes: z.array(z.enum(['ReadWriteOnce', 'ReadWriteOncePod'])),
            resources: z.strictObject({ requests: z.strictObject({ storage: quantity() }) }),
          }),
        }),
      ),
    }),
  }),
]);

/** What `kubectl kustomize` reads; the same strictness. */
export const kustomizationSchema = z.strictObject({
  apiVersion: z.literal('kustomize.config.k8s.io/v1beta1'),
  kind: z.literal('Kustomization'),
  namespace: name(),
  labels: z.array(z.strictObject({ pairs: labels(), includeTemplates: z.boolean().optional() })).optional(),
  resources: z.array(z.string()),
  images: z.array(z.strictObject({ name: z.string(), newName: z.string(), newTag: z.string() })).optional(),
  replicas: z.array(z.strictObject({ name: name(), count: z.int().min(0) })).optional(),
  configMapGenerator: z
    .array(
      z.strictObject({
        name: name(),
        behavior: z.enum(['create', 'merge', 'replace']).optional(),
        files: z.array(z.string()),
      }),
    )
    .optional(),
  generatorOptions: z.strictObject({ disableNameSuffixHash: z.boolean() }).optional(),
  patches: z.array(z.strictObject({ path: z.string() })).optional(),
});

export type Manifest = z.output<typeof manifestSchema>;
export type Kustomization = z.output<typeof kustomizationSchema>;
export type PodTemplate = z.output<ReturnType<typeof podTemplate>>;
export type Container = z.output<ReturnType<typeof container>>;

function resource<Version extends string, Kind extends string, Shape extends z.ZodRawShape>(
  apiVersion: Version,
  kind: Kind,
  shape: Shape,
) {
  return z.strictObject({
    apiVersion: z.literal(apiVersion),
    kind: z.literal(kind),
    metadata: z.strictObject({ name: name(), namespace: name().optional(), labels: labels().optional() }),
    ...shape,
  });
}

function podTemplate() {
  return z.strictObject({
    metadata: z.strictObject({ labels: labels() }),
    spec: z.strictObject({
      serviceAccountName: name().optional(),
      automountServiceAccountToken: z.boolean(),
      enableServiceLinks: z.boolean(),
      terminationGracePeriodSeconds: z.int(),
      nodeSelector: labels().optional(),
      tolerations: z
        .array(
          z.strictObject({ key: z.string(), operator: z.literal('Exists'), effect: z.literal('NoSchedule') }),
        )
        .optional(),
      topologySpreadConstraints: z
        .array(
          z.strictObject({
            maxSkew: z.int(),
            topologyKey: z.string(),
            whenUnsatisfiable: z.enum(['ScheduleAnyway', 'DoNotSchedule']),
            labelSelector: labelSelector(),
          }),
        )
        .optional(),
      securityContext: z
        .strictObject({
          runAsNonRoot: z.literal(true),
          runAsUser: z.int(),
          runAsGroup: z.int(),
          fsGroup: z.int(),
          seccompProfile: z.strictObject({ type: z.literal('RuntimeDefault') }),
        })
        .optional(),
      containers: z.array(container()).length(1),
      volumes: z.array(volume()),
    }),
  });
}

function container() {
  return z.strictObject({
    name: name(),
    image: z.string().regex(/^[a-z0-9.\-/]+:[\w.-]+$/, 'an image with its tag'),
    imagePullPolicy: z.enum(['IfNotPresent', 'Always', 'Never']),
    command: z.array(z.string()).optional(),
    env: z.array(variable()).optional(),
    ports: z.array(z.strictObject({ name: portName(), containerPort: portNumber() })),
    startupProbe: probe(),
    livenessProbe: probe(),
    readinessProbe: probe().optional(),
    lifecycle: z
      .strictObject({
        preStop: z.strictObject({ exec: z.strictObject({ command: z.array(z.string()) }) }),
      })
      .optional(),
    resources: z.strictObject({ requests: amounts(), limits: amounts().optional() }),
    securityContext: z.strictObject({
      privileged: z.boolean().optional(),
      runAsUser: z.int().optional(),
      allowPrivilegeEscalation: z.boolean().optional(),
      readOnlyRootFilesystem: z.boolean().optional(),
      capabilities: z.strictObject({ drop: z.array(z.literal('ALL')) }).optional(),
    }),
    volumeMounts: z.array(
      z.strictObject({
        name: name(),
        mountPath: z.string().startsWith('/'),
        readOnly: z.boolean().optional(),
      }),
    ),
  });
}

/** Of a variable: its value, or where it is taken from. */
function variable() {
  const from = z.union([
    z.strictObject({ secretKeyRef: z.strictObject({ name: name(), key: z.string() }) }),
    z.strictObject({
      fieldRef: z.strictObject({
        apiVersion: z.literal('v1').optional(),
        fieldPath: z.enum(['status.podIP', 'spec.nodeName']),
      }),
    }),
  ]);
  return z.union([
    z.strictObject({ name: z.string(), value: z.string() }),
    z.strictObject({ name: z.string(), valueFrom: from }),
  ]);
}

function volume() {
  const items = z.array(z.strictObject({ key: z.string(), path: z.string() })).optional();
  return z.union([
    z.strictObject({ name: name(), configMap: z.strictObject({ name: name() }) }),
    z.strictObject({
      name: name(),
      secret: z.strictObject({ secretName: name(), items, defaultMode: z.int().max(0o777) }),
    }),
    z.strictObject({ name: name(), emptyDir: z.strictObject({ sizeLimit: quantity() }) }),
    z.strictObject({
      name: name(),
      hostPath: z.strictObject({
        path: z.string().startsWith('/'),
        type: z.enum(['DirectoryOrCreate', 'Directory', 'Socket']),
      }),
    }),
  ]);
}

function probe() {
  const common = {
    periodSeconds: z.int(),
    timeoutSeconds: z.int().optional(),
    failureThreshold: z.int(),
  };
  return z.union([
    z.strictObject({ httpGet: z.strictObject({ path: z.string(), port: portRef() }), ...common }),
    z.strictObject({ tcpSocket: z.strictObject({ port: portRef() }), ...common }),
  ]);
}

function peer() {
  return z.strictObject({
    podSelector: labelSelector().optional(),
    namespaceSelector: labelSelector().optional(),
  });
}

function policyPorts() {
  return z.array(z.strictObject({ protocol: protocol(), port: portRef() })).min(1);
}

function labelSelector() {
  return z.strictObject({
    matchLabels: labels().optional(),
    matchExpressions: z
      .array(z.strictObject({ key: z.string(), operator: z.literal('In'), values: z.array(z.string()) }))
      .optional(),
  });
}

function amounts() {
  return z.strictObject({ cpu: quantity().optional(), memory: quantity().optional() });
}

function labels() {
  return z.record(z.string().regex(/^([a-z0-9.-]+\/)?[\w.-]{1,63}$/), z.string().regex(/^[\w.-]{0,63}$/));
}

function quantity() {
  return z.string().regex(/^\d+(\.\d+)?(m|Ki|Mi|Gi|Ti)?$/, 'a quantity such as 250m or 2Gi');
}

function name() {
  return z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'a DNS label');
}

/** An IANA service name: Kubernetes allows a port 15 characters. */
function portName() {
  return z.string().regex(/^[a-z0-9-]{1,15}$/);
}

function portNumber() {
  return z.int().min(1).max(65_535);
}

function portRef() {
  return z.union([portName(), portNumber()]);
}

function protocol() {
  return z.enum(['TCP', 'UDP']);
}
