import { xgenProcessIdMax, xgenProcessIdMin } from '../../../protocol/xgen-messages.ts';

/**
 * Names processes for clients: 32-bit numbers, unique in a sandbox whichever connection started them. The guest numbers
 * what it started; a command that was never started gets a number from a part of the range that the guest never reaches.
 */
export class XgenProcessIds {
  #notStarted = 0;

  /** `processNumber` is the guest's, from 1. */
  ofProcess(processNumber: number): number {
    return xgenProcessIdMin + (processNumber % (notStartedMin - xgenProcessIdMin));
  }

  ofNotStarted(): number {
    const id = notStartedMin + this.#notStarted;
    this.#notStarted = (this.#notStarted + 1) % (xgenProcessIdMax - notStartedMin);
    return id;
  }
}

const notStartedMin = 0xff00_0000;
