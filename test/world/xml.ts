export function escapeXml(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: XML 1.0 cannot hold them, not even escaped
  const legal = text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, '')
  return legal
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}

/** An S3 error document as R2 and the Archive send it. */
export function s3Error(code: string, message: string, more: Record<string, string> = {}): string {
  const rows = Object.entries({ Code: code, Message: message, ...more })
  const inner = rows.map(([name, value]) => `<${name}>${escapeXml(value)}</${name}>`).join('')
  return `<?xml version='1.0' encoding='UTF-8'?><Error>${inner}</Error>`
}
