import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import { emptyMap } from '../../protocol/map-message.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import { parseStats, type SandboxStats } from '../../protocol/stats-message.ts';
import { ask } from './ask.ts';
import type { OperationOptions } from './operation-options.ts';

export type { SandboxStats } from '../../protocol/stats-message.ts';

export function readStats(opener: ChannelOpener, options?: OperationOptions): Promise<SandboxStats> {
  return ask(opener, messageTypes.Stats.code, emptyMap, parseStats, options);
}
