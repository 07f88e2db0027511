import { type ChannelOpener, ResponderError } from '../../../protocol/channel-opener.ts';
import { changeFile, makeDirectory } from '../../operations/change-files.ts';
import { workspaceHome, workspaceRoot } from './xgen-paths.ts';
import { sandboxUser } from './xgen-user.ts';

/**
 * Makes the workspace if the image lacks it, owned by who uses it. Where that user may not (its home is missing, and
 * /home belongs to root), root makes the home and hands it over; a guest that is not root has no such user and fails.
 */
export async function makeWorkspace(guest: ChannelOpener): Promise<void> {
  const asUser = { path: workspaceRoot, user: sandboxUser, cwd: '/', parents: true };
  try {
    await makeDirectory(guest, asUser);
  } catch (error) {
    if (!(error instanceof ResponderError) || error.code !== 'permission_denied') throw error;
    const home = { path: workspaceHome, user: '0', cwd: '/' };
    await makeDirectory(guest, { ...home, parents: true });
    await changeFile(guest, { ...home, owner: sandboxUser, follow: false });
    await makeDirectory(guest, asUser);
  }
}
