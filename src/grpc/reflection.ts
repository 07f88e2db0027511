import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PackageDefinition } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import protobuf from 'protobufjs';
import { packageRoot } from '../package-root.ts';

/**
 * What `grpcurl` and `buf curl` ask for. The descriptors that proto-loader makes name no dependencies and misname map
 * entries, so strict clients cannot link them; these are buf's (scripts/gen-proto.mjs), comments included.
 */
export function reflectionService(): ReflectionService {
  const files = { fileDescriptorProtos: readDescriptors(join(packageRoot(), 'proto', 'descriptors.binpb')) };
  // Of a package definition the service reads nothing but the files.
  return new ReflectionService({ files } as unknown as PackageDefinition);
}

/** A FileDescriptorSet is a list of encoded files under field 1, which is all that has to be known of them here. */
function readDescriptors(path: string): Buffer[] {
  const reader = protobuf.Reader.create(readFileSync(path));
  const files: Buffer[] = [];
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag >>> 3 === 1) files.push(Buffer.from(reader.bytes()));
    else reader.skipType(tag & 7);
  }
  return files;
}
