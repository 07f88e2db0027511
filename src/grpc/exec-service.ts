import type { SandboxSession } from '../allocator/api.ts';
import { listProcesses } from '../operations/list-processes.ts';
import type { Edge } from './edge.ts';
import { execStream } from './exec-stream.ts';
import { formatExecResult } from './format-exec.ts';
import { formatProcess } from './format-process.ts';
import type { ExecServiceHandlers } from './gen/warmpool/v1/ExecService.ts';
import { parseExecRequest } from './parse-requests.ts';
import { RequestFields } from './request-fields.ts';
import { withSession } from './session-use.ts';
import { unary } from './unary-call.ts';

export function execService(edge: Edge): ExecServiceHandlers {
  return {
    Exec: unary(edge, 'exec', async (principal, wire, call) => {
      return formatExecResult(await edge.allocator.exec(principal, parseExecRequest(wire), call.signal));
    }),
    ExecStream: execStream(edge),
    ListProcesses: unary(edge, 'useProcesses', (principal, wire, call) => {
      const fields = new RequestFields();
      const sandboxId = fields.required('sandbox_id', wire.sandboxId);
      fields.done();
      const list = async (session: SandboxSession) => {
        const processes = await listProcesses(session.guest, call);
        return { processes: processes.map(formatProcess) };
      };
      return withSession(edge, principal, sandboxId, list, call.signal);
    }),
  };
}
