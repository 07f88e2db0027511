import { after, before, describe } from 'node:test';
import { bubblewrapAsRoot } from '../support/bubblewrap-sandboxes.ts';
import { BubblewrapStand } from './bubblewrap-stand.ts';
import { fileAcceptance } from './file-acceptance.ts';

describe('files over an xgen socket', { skip: (await bubblewrapAsRoot()).skip }, () => {
  let stand: BubblewrapStand;
  let id: string;
  before(async () => {
    stand = await BubblewrapStand.start();
    id = await stand.boot();
  });
  after(() => stand[Symbol.asyncDispose]());
  fileAcceptance(() => stand.place(id));
});
