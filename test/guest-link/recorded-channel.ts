import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ChannelReceiver, OpenOptions } from '../../protocol/channel-opener.ts';
import { encodeExecStarted } from '../../protocol/exec-messages.ts';
import { encodeFileEntry, type FileEntry } from '../../protocol/file-answers.ts';
import type { Frame } from '../../protocol/frame.ts';
import { emptyMap } from '../../protocol/map-message.ts';
import { type MessageName, messageName, messageTypes } from '../../protocol/message-types.ts';
import type { GuestLink } from '../../src/guest-link/guest-link.ts';
import type { ScriptedGuest } from './scripted-guest.ts';

const { Ack } = messageTypes;

const entry: FileEntry = {
  name: 'a',
  kind: 'file',
  size: 3,
  mode: 0o644,
  mtimeMs: 0,
  uid: 0,
  gid: 0,
};

export class Recorder implements ChannelReceiver {
  readonly frames: Frame[] = [];
  readonly lost: Error[] = [];

  onFrame(frame: Frame): void {
    this.frames.push(frame);
  }

  onLost(error: Error): void {
    this.lost.push(error);
  }

  get names(): readonly string[] {
    return this.frames.map(({ type }) => messageName(type));
  }
}

/** A channel that the scripted guest has been asked for. */
export async function asked(guest: ScriptedGuest, link: GuestLink, name: MessageName, options?: OpenOptions) {
  const receiver = new Recorder();
  const channel = link.open(messageTypes[name].code, emptyMap, receiver, options);
  const { id } = await guest.next(messageTypes[name].code);
  const say = (type: number, payload: Uint8Array = emptyMap, answered = 0) =>
    guest.send({ type, channel: channel.number, id: answered, payload });
  return { receiver, channel, id, say };
}

/** … and has acknowledged. */
export async function opened(
  guest: ScriptedGuest,
  link: GuestLink,
  name: MessageName,
  options?: OpenOptions,
) {
  const given = await asked(guest, link, name, options);
  given.say(Ack.code, ackOf(name, given.channel.number), given.id);
  await nextTurn();
  assert.deepEqual(given.receiver.names, ['Ack']);
  return given;
}

function ackOf(name: MessageName, process: number): Uint8Array {
  if (name === 'ExecStart') return encodeExecStarted({ pid: 9, process });
  return name === 'FileRead' ? entryBytes() : emptyMap;
}

export function entryBytes(): Uint8Array {
  const bytes = encodeFileEntry(entry);
  return 'value' in bytes ? bytes.value : assert.fail(bytes.error);
}
