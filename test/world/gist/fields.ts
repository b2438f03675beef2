// What a POST or PATCH may say.

export type Fields = {
  description?: string | null
  public?: boolean
  files?: Record<string, FileChange | null>
}
export type FileChange = { content?: string; filename?: string | null }

/** Undefined when the document has another shape. */
export function readFields(value: unknown): Fields | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  const { description, public: isPublic, files } = value as Record<string, unknown>
  const fields: Fields = {}
  if (typeof description === 'string') fields.description = description
  if (typeof isPublic === 'boolean') fields.public = isPublic
  if (files === undefined) return fields
  if (typeof files !== 'object' || files === null || Array.isArray(files)) return undefined
  fields.files = {}
  for (const [name, change] of Object.entries(files)) {
    if (change === null) fields.files[name] = null
    else if (typeof change !== 'object') return undefined
    else {
      const { content, filename } = change as Record<string, unknown>
      if (content !== undefined && typeof content !== 'string') return undefined
      if (filename !== undefined && filename !== null && typeof filename !== 'string') return undefined
      fields.files[name] = {
        ...(content === undefined ? {} : { content }),
        ...(filename === undefined ? {} : { filename }),
      }
    }
  }
  return fields
}
