import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeCredit } from '../../protocol/control-messages.ts';
import { noPayload } from '../../protocol/frame.ts';
import { emptyMap } from '../../protocol/map-message.ts';
import { isTerminal, type MessageName, messageTypes } from '../../protocol/message-types.ts';
import { encodePortList } from '../../protocol/port-messages.ts';
import { asked, opened } from './recorded-channel.ts';
import { exitFrame, openScripted, type SentFrame } from './scripted-guest.ts';
import { unreachable } from './scripted-link.ts';

const { Ack, Credit, End, Error: Refusal, Output, OutputEof, PortList } = messageTypes;

describe('a guest that breaks the rules of a channel', () => {
  type Say = (channel: number, id: number) => SentFrame;
  const violations: readonly [string, MessageName, Say, RegExp][] = [
    ['output for a write', 'FileWrite', say(Output.code, 'x'), /Output of 1 bytes for FileWrite/],
    [
      'error output of a tunnel',
      'PortConnect',
      say(messageTypes.ErrorOutput.code, 'x'),
      /ErrorOutput of 1 bytes/,
    ],
    [
      'credit for a read',
      'FileRead',
      (channel) => ({ type: Credit.code, channel, payload: encodeCredit(1) }),
      /Credit for/,
    ],
    ['the end of output of a read', 'FileRead', say(OutputEof.code, ''), /OutputEof for an open FileRead/],
    ['the exit of a file', 'FileRead', (channel) => exitFrame(channel), /ExecExit for an open FileRead/],
    ['an End of a watch', 'FileWatch', map(End.code), /FileWatch gets no End/],
    ['an End that is not of its request', 'FileRead', map(End.code), /End with a wrong payload: bytes/],
    ['a second Ack', 'FileList', map(Ack.code), /Ack for an open FileList/],
    ['an Ack with a payload of another request', 'FileStat', answer(Ack.code), /FileStat gets no Ack/],
    ['an Ack that is not of its request', 'TarRead', answer(Ack.code), /Ack with a wrong payload: name/],
    [
      'an End without an Ack where there must be one',
      'TarWrite',
      answer(End.code),
      /End before TarWrite was answered/,
    ],
    ['an Ack with no id', 'TarWrite', map(Ack.code), /Ack answers request 0/],
    ['an entry with the id of another request', 'FileStat', map(End.code), /End answers request 0/],
    ['an error of no list', 'FileList', map(Refusal.code), /Error with a wrong payload/],
  ];
  for (const [name, request, frame, reason] of violations) {
    it(`G2 loses its link by ${name}`, async () => {
      const { guest, link } = await openScripted();
      const early = ['FileStat', 'TarRead', 'TarWrite'].includes(request);
      const given = await (early ? asked : opened)(guest, link, request);
      guest.send(frame(given.channel.number, given.id));
      const why = await link.closed;
      assert.match(why, /^the guest broke the protocol: /);
      assert.match(why, reason);
      assert.equal(given.receiver.lost.length, 1);
      assert.ok(!given.receiver.names.some((seen) => isTerminal(codeOf(seen))));
    });
  }

  it('G2 loses its link by output behind the end of output, and by a second one', async () => {
    for (const again of [Output.code, OutputEof.code]) {
      const { guest, link } = await openScripted();
      const { say: tell } = await opened(guest, link, 'PortConnect');
      tell(OutputEof.code, noPayload);
      tell(again, again === Output.code ? Buffer.from('x') : noPayload);
      assert.match(await link.closed, /OutputEof/);
    }
  });

  it('G2 loses its link by an answer to a request on channel 0 that is not of its type', async () => {
    const { guest, link } = await openScripted();
    const pending = link.request(PortList.code, emptyMap);
    const { id } = await guest.next(PortList.code);
    guest.send({ type: Ack.code, id, payload: encodePortList([3, 1]) });
    await assert.rejects(pending, unreachable(/ports: not ascending/));
  });

  function say(type: number, text: string): Say {
    return (channel) => ({ type, channel, payload: Buffer.from(text) });
  }

  function map(type: number): Say {
    return (channel) => ({ type, channel, payload: emptyMap });
  }

  function answer(type: number): Say {
    return (channel, id) => ({ type, channel, id, payload: emptyMap });
  }

  function codeOf(name: string): number {
    return Object.entries(messageTypes).find(([known]) => known === name)?.[1].code ?? 0;
  }
});
