import { dataFields, PreparedDataFields } from './data-fields.ts';
import type { Edge } from './edge.ts';
import { formatSandbox } from './format-sandbox.ts';
import type { SandboxServiceHandlers } from './gen/warmpool/v1/SandboxService.ts';
import { keepAliveStream } from './keep-alive-stream.ts';
import { parseCreateRequest, parseListRequest } from './parse-requests.ts';
import { RequestFields } from './request-fields.ts';
import { unary } from './unary-call.ts';
import { watchSandboxes } from './watch-sandboxes.ts';

export function sandboxService(edge: Edge): SandboxServiceHandlers {
  const { allocator } = edge;
  return {
    CreateSandbox: unary(edge, 'createSandbox', async (principal, wire, call) => {
      const data = new PreparedDataFields(edge.data, principal);
      const request = parseCreateRequest(wire);
      const { record, repeated } = await allocator.createSandbox(
        principal,
        request,
        call.signal,
        data.prepare,
      );
      return { sandbox: { ...formatSandbox(record), ...data.of(record) }, repeated };
    }),
    GetSandbox: unary(edge, 'getSandbox', async (principal, wire) => {
      const record = await allocator.getSandbox(principal, requiredId(wire));
      return { sandbox: { ...formatSandbox(record), ...dataFields(edge.data, principal, record) } };
    }),
    ListSandboxes: unary(edge, 'listSandboxes', async (principal, wire) => {
      const page = await allocator.listSandboxes(principal, parseListRequest(wire));
      return { sandboxes: page.records.map(formatSandbox), nextPageToken: page.nextPageToken ?? '' };
    }),
    DeleteSandbox: unary(edge, 'deleteSandbox', async (principal, wire, call) => {
      await allocator.deleteSandbox(principal, requiredId(wire), call.signal);
      return {};
    }),
    KeepAlive: unary(edge, 'keepAlive', async (principal, wire) => {
      const fields = new RequestFields();
      const id = fields.required('id', wire.id);
      const ttlMs = fields.duration('ttl', wire.ttl);
      fields.done();
      return { sandbox: formatSandbox(await allocator.keepAlive(principal, id, ttlMs ?? null)) };
    }),
    SetTimeout: unary(edge, 'setTimeout', async (principal, wire) => {
      const fields = new RequestFields();
      const id = fields.required('id', wire.id);
      const timeoutMs = fields.duration('timeout', wire.timeout);
      if (wire.timeout === null) fields.violation('timeout', 'is required');
      fields.done();
      return { sandbox: formatSandbox(await allocator.setTimeout(principal, id, timeoutMs ?? 0)) };
    }),
    KeepAliveStream: keepAliveStream(edge),
    WatchSandboxes: watchSandboxes(edge),
  };
}

function requiredId(wire: { readonly id: string }): string {
  const fields = new RequestFields();
  const id = fields.required('id', wire.id);
  fields.done();
  return id;
}
