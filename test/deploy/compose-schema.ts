import { z } from 'zod';

/** Exactly what compose.yaml uses of the Compose Specification, strictly: see kubernetes-schema.ts for why by hand. */
const duration = z.string().regex(/^\d+(ms|s|m)$/, 'a duration such as 5s');
const size = z.string().regex(/^\d+[mMgG]$/, 'a size such as 512M');
const fileReference = z.strictObject({ source: z.string(), target: z.string() });

const service = z.strictObject({
  image: z.string(),
  restart: z.enum(['unless-stopped', 'always', 'on-failure', 'no']),
  command: z.array(z.string()).optional(),
  user: z.string().optional(),
  stop_grace_period: duration.optional(),
  depends_on: z
    .record(z.string(), z.strictObject({ condition: z.enum(['service_healthy', 'service_started']) }))
    .optional(),
  read_only: z.literal(true),
  cap_drop: z.tuple([z.literal('ALL')]),
  cap_add: z.array(z.enum(['KILL', 'SETGID', 'SETUID'])).optional(),
  security_opt: z.array(
    z.enum(['no-new-privileges:true', 'seccomp:unconfined', 'apparmor:unconfined', 'systempaths=unconfined']),
  ),
  cgroup: z.literal('host').optional(),
  networks: z.array(z.string()),
  ports: z.array(z.string().regex(/^127\.0\.0\.1:\d+:\d+$/, 'published to this machine only')).optional(),
  environment: z.record(z.string(), z.string()).optional(),
  secrets: z.array(fileReference),
  volumes: z.array(z.string().regex(/^[^:]+:\/[^:]+(:r[ow])?$/)),
  tmpfs: z.array(z.string().regex(/^\/[^:]+:size=/, 'a path and its size')).optional(),
  healthcheck: z
    .strictObject({
      test: z.tuple([z.literal('CMD-SHELL'), z.string()]),
      interval: duration,
      timeout: duration,
      retries: z.int(),
    })
    .optional(),
  logging: z
    .strictObject({
      driver: z.literal('json-file'),
      options: z.strictObject({ 'max-size': z.string(), 'max-file': z.string() }),
    })
    .optional(),
  pids_limit: z.int(),
  deploy: z.strictObject({
    resources: z.strictObject({
      limits: z.strictObject({ cpus: z.string(), memory: size }),
    }),
  }),
});

/** `x-…` at the top is what YAML's anchors are kept in. */
export const composeSchema = z
  .record(z.string(), z.unknown())
  .transform((file) => Object.fromEntries(Object.entries(file).filter(([key]) => !key.startsWith('x-'))))
  .pipe(
    z.strictObject({
      name: z.literal('warmpool'),
      services: z.record(z.string(), service),
      networks: z.record(z.string(), z.strictObject({ internal: z.boolean().optional() })),
      volumes: z.record(z.string(), z.strictObject({})),
      secrets: z.record(z.string(), z.strictObject({ file: z.string() })),
    }),
  );
