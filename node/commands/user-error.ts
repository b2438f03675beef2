/** An expected failure: its message is one sentence for people, and all that they see (exit code 1, no stack trace). */
export class UserError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'UserError'
  }
}

/**
 * Is this a mistake in the program? Adapters say what went wrong with an Error (or a class of their own) whose message is a
 * sentence; the language's own subclasses of Error come from a bug.
 */
export function isDefect(error: unknown): boolean {
  if (!(error instanceof Error)) return true
  const defects = [TypeError, RangeError, ReferenceError, SyntaxError, EvalError]
  return defects.some((defect) => error instanceof defect) || error.name === 'AssertionError'
}
