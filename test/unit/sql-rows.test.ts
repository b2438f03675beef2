import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { unpacked } from '../../node/reading/chunks.ts'
import { readSqlRows, type SqlRow, sqlText } from '../../node/reading/sql-rows.ts'
import { FIXTURES } from '../support/published.ts'

const CREATE = `-- a dump
DROP TABLE IF EXISTS \`page\`;
CREATE TABLE \`page\` (
  \`page_id\` int(10) unsigned NOT NULL,
  \`page_title\` varbinary(255) NOT NULL,
  \`page_lang\` varbinary(35) DEFAULT NULL,
  PRIMARY KEY (\`page_id\`)
) ENGINE=InnoDB;
/*!40000 ALTER TABLE \`page\` DISABLE KEYS */;
`

async function* cut(text: string, length: number) {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length)
}

async function rowsOf(
  text: string,
  length = 1_000_000,
  wanted = ['page_title', 'page_id', 'page_lang', 'no'],
) {
  const rows: SqlRow[] = []
  await readSqlRows(cut(text, length), 'page', wanted, (row) => void rows.push(row))
  return rows.map((row) => row.map((value) => (value === null ? null : sqlText(value))))
}

describe('rows of an SQL dump', () => {
  const insert = String.raw`INSERT INTO ${'`page`'} VALUES (1,'A\'b''c\\','x'),(-2.5,'Zürich (x),(y);\n\0',NULL),
  (3,_binary 'B',  NULL);
INSERT INTO ${'`other`'} VALUES (9,'no','no');
INSERT INTO ${'`page`'} VALUES (4,'','');
UNLOCK TABLES;
`
  const rows = [
    ["A'b'c\\", '1', 'x', null],
    ['Zürich (x),(y);\n\0', '-2.5', null, null],
    ['B', '3', null, null],
    ['', '4', '', null],
  ]

  it('have the values that were written, whatever stands in them', async () => {
    expect(await rowsOf(CREATE + insert)).toEqual(rows)
  })

  it('are the same however the file is cut', async () => {
    for (const length of [1, 2, 3, 7, 64])
      expect(await rowsOf(CREATE + insert, length), `${length}`).toEqual(rows)
  })

  it.each([
    ['ends in a row', `${CREATE}INSERT INTO \`page\` VALUES (1,'a`, 'ends in the middle of a row'],
    [
      'has a row that is too short',
      `${CREATE}INSERT INTO \`page\` VALUES (1,'a');\n`,
      'another number of columns',
    ],
    ['creates no such table', 'CREATE TABLE `other` (\n  `x` int\n);\n', 'does not create the table'],
    ['inserts before it creates', "INSERT INTO `page` VALUES (1,'a',NULL);\n", 'before the table is created'],
    [
      'has nonsense between rows',
      `${CREATE}INSERT INTO \`page\` VALUES (1,'a',NULL) x;\n`,
      'stands between rows',
    ],
  ])('are refused in a sentence when the dump %s', async (_what, text, sentence) => {
    await expect(rowsOf(text)).rejects.toThrow(sentence)
  })

  it('of a real categorylinks are as many as a separate count finds', async () => {
    const path = join(FIXTURES, 'aawiki/20260101/aawiki-20260101-categorylinks.sql.gz')
    const packed = readFileSync(path)
    const rows: SqlRow[] = []
    async function* chunks() {
      for (let at = 0; at < packed.length; at += 100) yield packed.subarray(at, at + 100)
    }
    const wanted = ['cl_from', 'cl_type', 'cl_target_id']
    const found = await readSqlRows(
      unpacked(path, chunks()),
      'categorylinks',
      wanted,
      (row) => void rows.push(row),
    )
    const text = gunzipSync(packed).toString('latin1')
    expect(found.rows).toBe([...text.matchAll(/,'(?:page|subcat|file)',\d+,\d+\)/g)].length)
    expect(found.columns).toContain('cl_target_id')
    expect(rows[0]).toEqual(['1341', 'page', '208'])
  })

  it('of a file that is no gzip are refused', async () => {
    const chunks = unpacked('x.sql.gz', cut('not gzip at all', 3))
    await expect(readSqlRows(chunks, 'page', [], () => {})).rejects.toThrow('x.sql.gz cannot be decompressed')
  })
})
