/** Errors of the system: they carry a code (errno(3)). */

/** `ENOENT`; null when it is none. */
export function errorCode(error: unknown): string | null {
  return isSystemError(error) ? error.code : null
}

export function isSystemError(error: unknown): error is Error & { readonly code: string } {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
}

/** There is no such file or folder. */
export function isMissing(error: unknown): boolean {
  return errorCode(error) === 'ENOENT'
}
