/** What a failed socket or request says in one word. */

/** The code of a system error; other messages are of no use to an operator. */
export function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error
  if (cause instanceof Error && 'code' in cause && typeof cause.code === 'string') return cause.code
  return 'the connection broke'
}
