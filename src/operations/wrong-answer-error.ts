/** The responder broke a rule of its messages. What it had said before may be as wrong. */
export class WrongAnswerError extends Error {
  override readonly name = 'WrongAnswerError';

  constructor(sentence: string) {
    super(`wrong answer from the sandbox: ${sentence}`);
  }
}
