import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import { type ListedProcess, parseProcessList } from '../../protocol/exec-messages.ts';
import { emptyMap } from '../../protocol/map-message.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import { ask } from './ask.ts';
import type { OperationOptions } from './operation-options.ts';

export type { ListedProcess } from '../../protocol/exec-messages.ts';

/** Those that run with a channel or detached, and the records of ended ones that are still kept; by number. */
export function listProcesses(
  opener: ChannelOpener,
  options?: OperationOptions,
): Promise<readonly ListedProcess[]> {
  return ask(opener, messageTypes.ExecList.code, emptyMap, parseProcessList, options);
}
