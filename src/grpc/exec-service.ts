import type { Edge } from './edge.ts';
import { execStream } from './exec-stream.ts';
import { formatExecResult } from './format-exec.ts';
import type { ExecServiceHandlers } from './gen/warmpool/v1/ExecService.ts';
import { parseExecRequest } from './parse-requests.ts';
import { unary } from './unary-call.ts';

export function execService(edge: Edge): ExecServiceHandlers {
  return {
    Exec: unary(edge, 'exec', async (principal, wire, call) => {
      return formatExecResult(await edge.allocator.exec(principal, parseExecRequest(wire), call.signal));
    }),
    ExecStream: execStream(edge),
  };
}
