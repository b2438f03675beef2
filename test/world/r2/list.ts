// ListObjects and ListObjectsV2.
import type { Exchange } from '../exchange.ts'
import { escapeXml } from '../xml.ts'
import { uriEncode } from './sigv4.ts'
import type { R2Store } from './store.ts'

const pageMax = 1000

export function listObjects(ex: Exchange, store: R2Store, bucket: string): string {
  const { query } = ex
  const second = query.get('list-type') === '2'
  const prefix = query.get('prefix') ?? ''
  const delimiter = query.get('delimiter') ?? ''
  const asked = Number(query.get('max-keys') ?? pageMax)
  const max = Number.isInteger(asked) && asked >= 0 ? Math.min(asked, pageMax) : pageMax
  const token = query.get('continuation-token')
  const after = second
    ? token !== null
      ? Buffer.from(token, 'base64url').toString('utf8')
      : (query.get('start-after') ?? '')
    : (query.get('marker') ?? '')
  const shown = (text: string) => escapeXml(query.get('encoding-type') === 'url' ? encodeKey(text) : text)

  const contents: string[] = []
  const folders = new Set<string>()
  let last = ''
  let truncated = false
  for (const key of store.keys(bucket, prefix)) {
    const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length)
    const name = cut === -1 ? key : key.slice(0, cut + delimiter.length)
    if (name <= after || folders.has(name)) continue
    if (contents.length + folders.size >= max) {
      truncated = true
      break
    }
    last = name
    if (cut !== -1) {
      folders.add(name)
      continue
    }
    const object = store.get(bucket, key)
    if (!object) continue
    const modified = new Date(object.lastModifiedMs).toISOString()
    contents.push(
      `<Contents><Key>${shown(key)}</Key><Size>${object.sizeBytes}</Size><LastModified>${modified}</LastModified>` +
        `<ETag>${escapeXml(object.etag)}</ETag><StorageClass>STANDARD</StorageClass></Contents>`,
    )
  }
  const next = truncated ? last : undefined
  const paging = second
    ? `<KeyCount>${contents.length + folders.size}</KeyCount>` +
      (token === null ? '' : `<ContinuationToken>${escapeXml(token)}</ContinuationToken>`) +
      (next === undefined
        ? ''
        : `<NextContinuationToken>${Buffer.from(next).toString('base64url')}</NextContinuationToken>`)
    : `<Marker>${shown(after)}</Marker>${next === undefined ? '' : `<NextMarker>${shown(next)}</NextMarker>`}`
  return (
    '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">' +
    `<Name>${escapeXml(bucket)}</Name><Prefix>${shown(prefix)}</Prefix><MaxKeys>${max}</MaxKeys>` +
    (delimiter === '' ? '' : `<Delimiter>${shown(delimiter)}</Delimiter>`) +
    (query.get('encoding-type') === 'url' ? '<EncodingType>url</EncodingType>' : '') +
    `<IsTruncated>${truncated}</IsTruncated>${paging}${contents.join('')}` +
    [...folders].map((name) => `<CommonPrefixes><Prefix>${shown(name)}</Prefix></CommonPrefixes>`).join('') +
    '</ListBucketResult>'
  )
}

function encodeKey(key: string): string {
  return key.split('/').map(uriEncode).join('/')
}
